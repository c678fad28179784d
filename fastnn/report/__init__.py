"""What did a search find, for people to read? ``write_report`` writes it as one HTML page."""

from __future__ import annotations

import os
from typing import Any

from sklearn.utils.validation import check_is_fitted

from fastnn._lazy import submodules
from fastnn.report.gather import Data, gather
from fastnn.report.page import render
from fastnn.tabular.schema import Schema

__all__ = ["write_report"]

__getattr__ = submodules(__name__)


def write_report(
    path: str | os.PathLike[str],
    search: Any,
    X: Any,
    y: Any,
    X_test: Any = None,
    y_test: Any = None,
    *,
    title: str = "Trade-off search",
    schema: Schema | None = None,
    data_code: str = "# X and y are the data the search was given.",
) -> None:
    """Write what a search found as one HTML page that needs no network and no other file.

    Parameters
    ----------
    path : path-like
        Where to write.
    search : TradeoffSearchCV
        Fitted on ``X`` and ``y``.
    X : array-like or DataFrame of shape (n_rows, n_columns)
        What the search was fitted on.
    y : array-like of shape (n_rows,)
        Its targets: labels or values, one per row.
    X_test, y_test : like X and y, optional
        Rows the search has not seen; the chosen model is measured on them. Without them it is
        measured out of fold: every row of ``X`` is predicted by a copy trained without it.
    title : str
        What the data is called.
    schema : Schema, optional
        What `fastnn.tabular.schema` knows about the columns.
    data_code : str
        Python code that makes ``X`` and ``y``, for the program at the end of the page.

    Raises
    ------
    ValueError
        If the search is not fitted or has chosen no model (``refit=False``), or if y has several
        columns.
    """
    if search.refit is False:
        raise ValueError(
            "A report is about a chosen model, but the search has refit=False."
            " Give refit another value."
        )
    check_is_fitted(search)
    page = render(gather(search, Data(X, y, X_test, y_test, title, schema, data_code)))
    with open(path, "w", encoding="utf-8") as file:
        file.write(page)
