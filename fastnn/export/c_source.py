"""How does a fitted model become a C99 file and a header, and what do int8 weights cost it?"""

from __future__ import annotations

import copy
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import is_classifier

from fastnn.estimators.inspect import innermost
from fastnn.export.bags import input_factors
from fastnn.export.c_program import Constants, Program, constants_of, n_bytes, program_of
from fastnn.export.c_rows import answers, random_rows, rows_in_c
from fastnn.export.c_text import ACTIVATIONS, HEADER, INVERSE_LINKS, SOURCE, fields
from fastnn.tabular.model import TableModel
from fastnn.tabular.unseen import is_bag

N_TESTED = 3  # rows of the self-test


@dataclass(frozen=True)
class CSource:
    """What :func:`to_c` wrote.

    Attributes
    ----------
    source, header : Path
    flash_bytes : int
        Bytes of the constants; the code adds less than 1 kB, and what libm takes.
    loss : float or None
        With int8 weights, what they change on ``X_val``; see :func:`to_c`.
    """

    source: Path
    header: Path
    flash_bytes: int
    loss: float | None


def to_c(
    model: Any,
    path: str | os.PathLike[str],
    *,
    weights: str = "float32",
    name: str | None = None,
    X_val: Any = None,
    max_loss: float = 0.01,
) -> CSource:
    """Write a fitted model as one C99 file and a header, which need libm alone.

    ``void NAME_predict(const float *x, float *out)`` answers one row: the probabilities of a
    classifier, as in ``predict_proba``, or the predictions of a regressor. It allocates nothing.
    ``int NAME_label(const float *out)`` decides, by a threshold too.

    Parameters
    ----------
    model : estimator or TableModel
        A fitted :class:`~fastnn.MLPClassifier` or :class:`~fastnn.MLPRegressor`; a Pipeline of
        StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler, SimpleImputer, OneHotEncoder,
        OrdinalEncoder, or a ColumnTransformer of these, and a network; a
        :class:`~fastnn.TabularClassifier` or :class:`~fastnn.TabularRegressor`; what ``fastnn fit``
        makes of a table; a TransformedTargetRegressor, FixedThresholdClassifier,
        TunedThresholdClassifierCV or fitted search around one.
    path : path-like
        The C file, ``*.c``; the header, ``*.h``, is written beside it.
    weights : {"float32", "int8"}, default="float32"
        How weights are stored. "int8" takes a quarter of the memory: whole numbers from -127 to
        127 with one scale for each neuron, and what the bins of a bag stand for likewise.
        Activations are float either way.
    name : str, default=None
        What the C names begin with; None takes the file's name.
    X_val : DataFrame or array-like of shape (n_rows, n_features), default=None
        Validation rows, as ``model`` takes them; needed with ``weights="int8"``. The first three
        become the self-test, which is compiled where ``NAME_SELF_TEST`` is defined; None takes
        three random rows.
    max_loss : float, default=0.01
        The largest loss by int8 weights. Of a classifier it is the share of ``X_val`` whose labels
        change, by which its accuracy falls at most; of a regressor the mean squared change of its
        predictions over their variance, by which R2 falls where errors are independent of it.

    Returns
    -------
    CSource
        The files, the bytes of their constants, and the loss.

    Raises
    ------
    TypeError
        If part of the model cannot be exported to C; the message names it.
    ValueError
        If a parameter is none of those above, or int8 weights lose more than ``max_loss``. Nothing
        is written then.
    """
    source = Path(path)
    if not re.fullmatch(r"\w[\w.-]*\.c", source.name, re.ASCII):
        raise ValueError(
            "path must name a file of letters, digits, '_', '-' and '.' that ends in '.c', got"
            f" {source.name!r}."
        )
    if name is None:
        name = re.sub(r"\W", "_", source.stem)
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
        raise ValueError(
            "name must begin with a letter and hold letters, digits and '_' only, got"
            f" {name!r}. Pass another name=."
        )
    program, constants = _program(model, weights)
    if isinstance(model, TableModel):
        model = model.model
    loss = None
    if weights == "int8":
        if X_val is None:
            raise ValueError("weights='int8' needs X_val: rows to measure on what they lose.")
        exact, model = model, _with_int8_weights(model, constants)
        loss = _loss(exact, model, X_val)
        if not loss <= max_loss:
            raise ValueError(
                f"weights='int8' lose {loss:.3g} on X_val, more than max_loss={max_loss:g}. Raise"
                " max_loss, or use weights='float32'."
            )
    if X_val is None:
        rows = random_rows(program.inputs, N_TESTED)
    else:
        rows = rows_in_c(program.inputs, X_val, N_TESTED)
    header = source.with_suffix(".h")
    answered = answers(model, program.inputs, rows)
    filled = fields(program, constants, name, header.name, rows, answered)
    header.write_text(HEADER.substitute(filled))
    source.write_text(SOURCE.substitute(filled))
    return CSource(source, header, n_bytes(constants), loss)


def flash_bytes(model: Any, *, weights: str = "float32") -> int:
    """Bytes of the constants of a model's C file, without writing it.

    Parameters
    ----------
    model : estimator or TableModel
        As in :func:`to_c`.
    weights : {"float32", "int8"}, default="float32"
        How weights are stored.
    """
    return n_bytes(_program(model, weights)[1])


def _program(model: Any, weights: str) -> tuple[Program, Constants]:
    """What the C file computes and holds."""
    if isinstance(model, TableModel):
        dates = tuple((name, one.first) for name, one in model.schema.dates.items())
        program = replace(program_of(model.model), dates=dates)
    else:
        program = program_of(model)
    program.network.check("C", ACTIVATIONS, INVERSE_LINKS)
    return program, constants_of(program, weights)


def _with_int8_weights(model: Any, constants: Constants) -> Any:
    """A copy of the model with the weights that the C file holds."""
    twin = copy.deepcopy(model)
    found = innermost(twin)
    layers = range(sum(key.startswith("scales_") for key in constants))
    rounded = [constants[f"weights_{i}"] * constants[f"scales_{i}"][:, None] for i in layers]
    if hasattr(found, "coef_"):  # a linear model
        found.coef_ = rounded[0][0].T.reshape(found.coef_.shape)
        return twin
    if not is_bag(twin):
        found.coefs_ = [
            w[0].astype(old.dtype) for w, old in zip(rounded, found.coefs_, strict=True)
        ]
        return twin
    layout, found._params = found.network_.layout, found._params.copy()
    for m, params in enumerate(found._params):
        factors = input_factors(found.network_, params)[:, None]
        own = [w[m].astype(np.float64) for w in rounded]
        own[0] = np.divide(own[0], factors, out=np.zeros_like(own[0]), where=factors != 0)
        for segment, weight in zip(layout.weights, own, strict=True):
            segment.view(params)[...] = weight
        if "knots" in constants:
            W, linear, bias, _ = (segment.view(params) for segment in layout.embedding)
            columns = np.split(constants["knots"][m], constants["starts"][1:-1])
            knots = [a * b for a, b in zip(columns, constants["knot_scales"][m], strict=True)]
            W[...] = np.concatenate([np.diff(each, axis=0) for each in knots])
            linear[...], bias[...] = 0, [each[0] for each in knots]
    return twin


def _loss(exact: Any, model: Any, X: Any) -> float:
    """What int8 weights change: see ``max_loss`` of :func:`to_c`."""
    before, after = (np.asarray(each.predict(X)) for each in (exact, model))
    before, after = before.reshape(len(before), -1), after.reshape(len(after), -1)
    if is_classifier(exact):
        return float((before != after).any(axis=1).mean())
    change = np.square(before - after).sum()
    if not change:
        return 0.0
    with np.errstate(divide="ignore"):
        return float(change / np.square(before - before.mean(axis=0)).sum())
