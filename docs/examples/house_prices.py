"""A network without hidden layers is a linear model: what does a square metre cost?

python docs/examples/house_prices.py    # prints the line, writes house_prices.png beside this file
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot

from fastnn import MLPRegressor

area = np.array([1000.0, 1200.0, 1500.0, 1800.0, 2000.0])  # square metres
rooms = [1, 2, 3, 4, 5]
price = np.array([1.5, 1.8, 2.2, 2.5, 3.0])  # millions

# A network learns best from numbers of the size of one, so areas are counted in thousands of square
# metres.
X = area[:, None] / 1000
model = MLPRegressor(hidden_layer_sizes=(), solver="lbfgs", alpha=0, tol=1e-10, random_state=0).fit(
    X, price
)
((slope,),), (intercept,) = model.coefs_[0], model.intercepts_[0]

print(f"price = {intercept:.3f} million + {slope:.3f} million for each 1000 square metres")
print(
    f"R2 = {model.score(X, price):.4f}; 1600 square metres would cost"
    f" {model.predict([[1.6]])[0]:.2f} million"
)
np.testing.assert_allclose(
    [slope, intercept], np.polyfit(X[:, 0], price, 1), rtol=1e-4
)  # least squares in closed form

figure, ax = pyplot.subplots(figsize=(6, 4))
line = np.array([950.0, 2050.0])
ax.plot(line, model.predict(line[:, None] / 1000), color="C1", label="fitted line")
ax.scatter(area, price, zorder=2, label="houses")
for x, y, n in zip(area, price, rooms, strict=True):
    ax.annotate(
        f"{n} room" if n == 1 else f"{n} rooms",
        (x, y),
        xytext=(6, -12),
        textcoords="offset points",
        fontsize=8,
    )
ax.set(xlabel="living area (square metres)", ylabel="price (millions)")
ax.legend()
figure.savefig(Path(__file__).with_suffix(".png"), dpi=110, bbox_inches="tight")
