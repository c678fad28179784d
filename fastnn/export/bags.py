"""What does a fitted bag of networks compute, from the raw cells of a row to its answer?

A row becomes one vector, which each member multiplies by its own weights::

    numbers     for each column of bins, ``offsets[bin] + fraction * slopes[bin]``
    signals     one number for each column that tells two categories, or missing from present
    categories  1 at the place of each column's category, 0 elsewhere

The answer is the mean of what the members answer, through the inverse link, and then ``after``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray
from sklearn.compose import TransformedTargetRegressor
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from fastnn.core.embedding import Embedding
from fastnn.export.columns import Step, full_name
from fastnn.export.description import (
    Dense,
    Description,
    Threshold,
    describe_layers,
    steps_back,
    threshold_of,
    undecided,
)
from fastnn.tabular.base import BaseTabular
from fastnn.tabular.embed import CategoricalColumn, EmbeddingEncoder, as_text
from fastnn.tabular.encode import TableColumns

EXACT = 2**53  # whole numbers up to this are exact in float64


@dataclass(frozen=True)
class NumberColumn:
    """A raw column of numbers, float64; NaN is missing.

    In float64, each operation rounded by itself, as :func:`fastnn.tabular.bins.find_bins`::

        z = clip((x - center) * factor, -1e100, 1e100), with fill for x where it is missing
        z = z / sqrt(1 + (z / 3)**2)
        bin = how many of edges[1:-1] are <= z
        fraction = clip((z - edges[bin]) / (edges[bin + 1] - edges[bin]), -1, 2), then in float32

    Attributes
    ----------
    place : int
        Of the column in the table.
    name : str
    fill, center, factor : float
    edges : ndarray of float64, shape (n_bins + 1,)
        Ascending; empty where the column's numbers did not vary: they are not looked at then.
    signals : ndarray of float32, shape (2,), or None
        What is sent where the number is missing, and where it is present; None sends nothing.
    """

    place: int
    name: str
    fill: float = 0.0
    center: float = 0.0
    factor: float = 0.0
    edges: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    signals: NDArray[np.float32] | None = None

    holds_text: ClassVar[bool] = False


@dataclass(frozen=True)
class CategoryColumn:
    """A raw column of categories: any cell that is none of ``levels`` is missing or unknown.

    Attributes
    ----------
    place : int
        Of the column in the table.
    name : str
    levels : tuple of str, or tuple of float
        All texts, or all numbers; truth values are 0 and 1.
    codes : ndarray of int64, shape (n_levels,)
        Which of the row's categories, from 0 on over all columns, each level is; or which of the
        signals.
    signals : ndarray of float32, shape (3,), or None
        What is sent for codes 0 and 1, and for none of the levels. None: the level is a category,
        and none of them is 0 in all places.
    """

    place: int
    name: str
    levels: tuple[str, ...] | tuple[float, ...]
    codes: NDArray[np.int64]
    signals: NDArray[np.float32] | None

    @property
    def holds_text(self) -> bool:
        """Whether the cells are texts."""
        return isinstance(self.levels[0], str)


@dataclass(frozen=True)
class Member:
    """A network of a bag.

    Attributes
    ----------
    offsets, slopes : ndarray of shape (n_bins, size)
        Of the bins of all columns of numbers that have edges, one column after the other.
    layers : tuple of Dense
        The first reads the row: ``n_numbers * size`` numbers, signals, categories.
    """

    offsets: NDArray[np.floating]
    slopes: NDArray[np.floating]
    layers: tuple[Dense, ...]


@dataclass(frozen=True)
class BagDescription:
    """A fitted bag as data.

    Attributes
    ----------
    columns : tuple of NumberColumn or CategoryColumn
        Those that are read, in the order of the table; where none tells rows apart, the first,
        which sends 0.
    members : tuple of Member
    inverse_link : str
        From a member's last layer to its answer, as in :class:`Description`.
    classes : ndarray of shape (n_classes,) or None
        The labels of a classifier, in the order of its probabilities. None for a regressor.
    n_columns : int
        Of the table.
    names : tuple of str or None
        Of all columns of the table; None where it was an array.
    after : tuple of Step
        What happens to a regressor's mean answers.
    threshold : Threshold or None
        None answers the likeliest class.
    """

    columns: tuple[NumberColumn | CategoryColumn, ...]
    members: tuple[Member, ...]
    inverse_link: str
    classes: NDArray[Any] | None
    n_columns: int
    names: tuple[str, ...] | None
    after: tuple[Step, ...] = ()
    threshold: Threshold | None = None

    @property
    def numbers(self) -> list[NumberColumn]:
        """Columns that have bins, in the order of the members' tables."""
        return [c for c in self.columns if isinstance(c, NumberColumn) and len(c.edges)]

    @property
    def senders(self) -> list[NumberColumn | CategoryColumn]:
        """Columns that send signals, in the order of the row: missing numbers, then categories."""
        sending = [column for column in self.columns if column.signals is not None]
        return sorted(sending, key=lambda column: isinstance(column, CategoryColumn))

    @property
    def categories(self) -> list[CategoryColumn]:
        """Columns whose levels have a place each, in the order of their codes."""
        return [c for c in self.columns if isinstance(c, CategoryColumn) and c.signals is None]

    @property
    def n_signals(self) -> int:
        """Of the row."""
        return len(self.senders)

    @property
    def n_numbers(self) -> int:
        """Of the row: the columns' embeddings, side by side."""
        return len(self.numbers) * self.members[0].offsets.shape[1]

    @property
    def n_categories(self) -> int:
        """Of the row."""
        return sum(len(column.codes) for column in self.categories)

    @property
    def n_out(self) -> int:
        """Number of outputs."""
        return len(self.members[0].layers[-1].bias)

    @property
    def decides(self) -> str:
        """What is answered, as in :class:`Description`: "numbers" or "classes"."""
        return "numbers" if self.classes is None else "classes"

    @property
    def network(self) -> Description:
        """The first member behind the row, which stands for all in layers, link and answer."""
        layers = self.members[0].layers
        return Description(layers, self.inverse_link, self.classes, threshold=self.threshold)


def stands_alone(model: Any) -> bool:
    """Whether :func:`describe_bag` takes ``model``, fitted or not."""
    model = undecided(model)
    if isinstance(model, Pipeline):
        before = [type(part) for _, part in model.steps[:-1]]
        return {*before} <= {TableColumns} and stands_alone(model[-1])
    if isinstance(model, TransformedTargetRegressor):
        return stands_alone(getattr(model, "regressor_", model.regressor))
    return isinstance(model, BaseTabular)


def describe_bag(model: Any, dtype: DTypeLike) -> BagDescription:
    """Describe a fitted bag of networks.

    Parameters
    ----------
    model : estimator
        A :class:`~fastnn.TabularClassifier` or :class:`~fastnn.TabularRegressor`; a
        TransformedTargetRegressor or a threshold around one; the pipeline that ``fastnn fit`` makes
        of one; a search whose ``best_estimator_`` is one of these.
    dtype : dtype
        Of the members' tables, weights and biases in the description.

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    TypeError
        If part of the model is something else, a category is no text or number, or two are alike.
    ValueError
        If a number in the networks cannot be exported.
    """
    model = getattr(model, "best_estimator_", model)
    check_is_fitted(model)
    if (inside := undecided(model)) is not model:
        found = describe_bag(inside, dtype)
        return replace(found, threshold=threshold_of(model) or found.threshold)
    if isinstance(model, Pipeline):
        for name, part in model.steps[:-1]:
            if type(part) is not TableColumns:
                raise TypeError(
                    f"The step {name!r} before a bag of networks, a {type(part).__name__}, cannot"
                    " be exported. Apply it before, and export the rest, as in model[1:]."
                )
        return describe_bag(model[-1], dtype)
    if isinstance(model, TransformedTargetRegressor):
        inner = describe_bag(model.regressor_, dtype)
        back = tuple(step.for_columns(inner.n_out) for step in steps_back(model))
        return replace(inner, after=inner.after + back)
    if not isinstance(model, BaseTabular):
        raise TypeError(
            f"A {full_name(model)} cannot be exported with a bag of networks inside; export the"
            " bag alone, and decide by what it answers."
        )
    encoder, spec = model._encoder, model.network_
    labels = encoder.labels_
    names = None if labels is None else tuple(map(str, labels))
    after: tuple[Step, ...] = ()
    classes = getattr(model, "classes_", None)
    if classes is None:
        after = Step("unscale", (model._std, model._mean)), Step("clip", (model._low, model._high))
        after = tuple(step.for_columns(spec.n_out) for step in after)
    members = tuple(_member(spec, params, dtype) for params in model._params)
    columns = _columns(encoder, names or [f"x{i}" for i in range(encoder.n_features_in_)])
    n_columns = encoder.n_features_in_
    return BagDescription(
        columns, members, spec.loss.inverse_link, classes, n_columns, names, after
    )


def _columns(encoder: EmbeddingEncoder, names: Any) -> tuple[NumberColumn | CategoryColumn, ...]:
    """The columns that an encoder reads."""
    known = encoder.numbers_
    found: dict[int, Any] = {}
    for j, place in enumerate(known.places.tolist()):
        fill, center, factor = (float(a[j]) for a in (known.fills, known.centers, known.factors))
        edges = known.edges[known.starts[j] : known.starts[j + 1]]
        found[place] = NumberColumn(place, names[place], fill, center, factor, edges)
    for k, place in enumerate(encoder.gaps_.tolist()):
        column = found.get(place, NumberColumn(place, names[place]))
        found[place] = replace(column, signals=encoder.gap_signals_[:, k])
    for one in encoder.categories_:
        found[one.place] = _category(one, names[one.place])
    if not found:
        found[0] = NumberColumn(0, names[0], signals=np.zeros(2, np.float32))
    return tuple(found[place] for place in sorted(found))


def _category(one: CategoricalColumn, name: str) -> CategoryColumn:
    """A column of categories, its levels as texts or as numbers."""
    for level in one.levels:
        if not isinstance(level, str | Real | np.bool_):
            raise TypeError(
                f"Column {name!r} has categories such as {level!r}, of type"
                f" {type(level).__name__}, which cannot be exported; text, numbers and truth values"
                " can. Make texts of them before fitting."
            )
    codes = dict(zip(one.levels, range(one.first, one.first + len(one.levels)), strict=True))
    if any(isinstance(level, str) for level in one.levels):
        texts: dict[str, Any] = {}
        for level in codes:
            if (text := as_text(level)) in texts:
                raise TypeError(
                    f"Column {name!r} has the categories {texts[text]!r} and {level!r}, which are"
                    " the same as text. Make texts of the column before fitting."
                )
            texts[text] = level
        return _category_of(one, name, {text: codes[level] for text, level in texts.items()})
    for level in one.levels:
        if isinstance(level, Integral) and abs(int(level)) > EXACT:
            raise TypeError(
                f"Column {name!r} has the category {level}, which float64 does not tell from its"
                " neighbours. Make texts of the column before fitting."
            )
    return _category_of(one, name, {float(level): code for level, code in codes.items()})


def _category_of(one: CategoricalColumn, name: str, codes: dict[Any, int]) -> CategoryColumn:
    own = np.array(list(codes.values()), np.int64)
    return CategoryColumn(one.place, name, tuple(codes), own, one.indicator)


def input_factors(spec: Any, params: NDArray[np.floating]) -> NDArray[np.float64]:
    """What multiplies each input of a member's first layer: its scale, a category's number."""
    embedding: Embedding = spec.embedding
    factors = spec.layout.embedding[3].view(params).astype(np.float64)
    factors[embedding.n_out - len(embedding.hot) :] *= embedding.hot
    return factors


def _member(spec: Any, params: NDArray[np.floating], dtype: DTypeLike) -> Member:
    """A member, what its scaling layer multiplies by multiplied into its first weights."""
    embedding: Embedding = spec.embedding
    layout, exact = spec.layout, params.astype(np.float64)
    W, linear, bias, _ = (segment.view(exact) for segment in layout.embedding)
    offsets, slopes = embedding.tables(W, linear, bias)
    coefs, intercepts = layout.coefs(exact), layout.intercepts(exact)
    first = coefs[0] * input_factors(spec, exact)[:, None]
    activations = [layer.activation for layer in spec.layers]
    return Member(
        offsets.astype(dtype),
        slopes.astype(dtype),
        describe_layers([first, *coefs[1:]], intercepts, activations, dtype),
    )
