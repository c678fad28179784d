"""Which networks are measured?

The shapes all our figures are stated on, those others published, and one axis at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from fastnn.core.network import NetworkSpec
from fastnn.core.optimizers import SGD, Adam, Optimizer

OPTIMIZERS: dict[str, Optimizer] = {
    "adam": Adam(),
    "momentum": SGD(momentum=0.9, nesterovs_momentum=False),
    "sgd": SGD(0.0, nesterovs_momentum=False),
}


@dataclass(frozen=True)
class Shape:
    """A network of ``units`` = (features, hidden sizes..., outputs) and its batch size."""

    units: tuple[int, ...]
    batch: int
    activation: str = "relu"
    optimizer: str = "adam"
    loss: str = ""

    @property
    def spec(self) -> NetworkSpec:
        """The network; the loss, unless given, is what a classifier of so many outputs uses."""
        loss = self.loss or ("binary_log_loss" if self.units[-1] == 1 else "log_loss")
        return NetworkSpec.dense(self.units, self.activation, loss)

    def __str__(self) -> str:
        return f"{'-'.join(map(str, self.units))} B{self.batch} {self.activation} {self.optimizer}"


# The shapes that every table of this project uses.
ANCHORS = {
    "tiny": Shape((10, 32, 1), 32),
    "default": Shape((20, 100, 1), 200),
    "digits": Shape((64, 100, 10), 200),
    "deep": Shape((50, 64, 64, 64, 5), 200),
    "reg": Shape((13, 100, 100, 1), 200, loss="squared_error"),
    "mnist": Shape((784, 256, 128, 10), 128),
    "wide": Shape((100, 512, 512, 10), 256),
    "large": Shape((784, 1024, 512, 10), 256),
}

# Shapes that other projects have published times for: SimpleChains.jl (the first two), PyTorch's
# issue 144633, OpenNN's HIGGS comparison, scikit-learn's bench_mnist.
PUBLISHED = [
    Shape((24, 8, 2), 200, "tanh"),
    Shape((4, 32, 16, 4), 10_000),
    Shape((10, 46, 46, 10), 128),
    Shape((28, 300, 300, 300, 300, 300, 1), 100, "tanh"),
    Shape((784, 100, 100, 10), 200),
]

FEATURES = [10, 30, 100, 300, 784]
WIDTHS = [8, 32, 100, 128, 256, 512]
DEPTHS = [1, 2, 3]
OUTPUTS = [1, 10]
BATCHES = [1, 32, 200, 1000]
CENTRE = Shape((100, 128, 10), 200)


def one_axis_at_a_time() -> Iterator[Shape]:
    """CENTRE, with one thing changed to each of its other values."""
    n_in, width, n_out = CENTRE.units
    yield CENTRE
    yield from (replace(CENTRE, units=(n, width, n_out)) for n in FEATURES if n != n_in)
    yield from (replace(CENTRE, units=(n_in, n, n_out)) for n in WIDTHS if n != width)
    yield from (replace(CENTRE, units=(n_in, *[width] * n, n_out)) for n in DEPTHS if n != 1)
    yield from (replace(CENTRE, units=(n_in, width, n)) for n in OUTPUTS if n != n_out)
    yield from (replace(CENTRE, batch=n) for n in BATCHES if n != CENTRE.batch)
    yield from (replace(CENTRE, activation=name) for name in ("tanh", "logistic"))
    yield from (replace(CENTRE, optimizer=name) for name in ("momentum", "sgd"))


def every_combination() -> Iterator[Shape]:
    """All features x widths x depths x outputs x batches, ReLU and Adam."""
    for n_in, width, depth, n_out, batch in product(FEATURES, WIDTHS, DEPTHS, OUTPUTS, BATCHES):
        yield Shape((n_in, *[width] * depth, n_out), batch)
