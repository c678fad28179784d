"""What is a network?

Frozen descriptions, and where each weight stands in one flat parameter vector.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from fastnn.core import arrays
from fastnn.core.activations import ACTIVATIONS, Activation, Array
from fastnn.core.embedding import Embedding
from fastnn.core.family import chosen, number
from fastnn.core.functions import Function
from fastnn.core.losses import LOSSES, Loss

SHARE = number("[0, 1)")  # of a layer's outputs


@dataclass(frozen=True)
class LayerSpec:
    """A dense layer: ``n_in`` inputs, ``n_out`` neurons, an activation.

    Its initial parameters are uniform in ``+-bound``: see :func:`initialise`. ``dropout`` is the
    share of its outputs that a training step silences: see :mod:`fastnn.core.dropout`.
    """

    n_in: int
    n_out: int
    activation: Activation
    bound: float
    dropout: float = 0.0


@dataclass(frozen=True)
class NetworkSpec:
    """Dense layers in order, the loss, and for encoded tables an embedding below them.

    Settings that the loss leaves open become scikit-learn's.

    The last layer's activation is the identity: its raw output goes to the loss, or through the
    loss's inverse link to become a prediction.

    With ``bfloat16`` a training step rounds the operands of its products: see
    :mod:`fastnn.core.bfloat16`. What the network predicts is the same.
    """

    layers: tuple[LayerSpec, ...]
    loss: Loss
    embedding: Embedding | None = None
    bfloat16: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "loss", self.loss.filled())  # the class is frozen
        if self.embedding is not None and self.embedding.n_out != self.layers[0].n_in:
            raise ValueError(
                f"An embedding of {self.embedding.n_out} outputs cannot feed a layer of"
                f" {self.layers[0].n_in} inputs."
            )
        for below, above in pairwise(self.layers):
            if below.n_out != above.n_in:
                raise ValueError(
                    f"A layer of {below.n_out} neurons cannot feed a layer of {above.n_in} inputs."
                )
        if not self.layers or self.layers[-1].activation != ACTIVATIONS["identity"]:
            raise ValueError(
                "A network needs at least one layer, and its last activation must be 'identity'."
            )
        for layer in self.layers:
            if min(layer.n_in, layer.n_out) < 1:
                raise ValueError(
                    "A layer needs at least one input and one neuron, got"
                    f" {layer.n_in} and {layer.n_out}."
                )
            if not SHARE.holds(layer.dropout):
                raise ValueError(f"dropout must be {SHARE.words}, got {layer.dropout!r}.")
        if self.layers[-1].dropout:
            raise ValueError("dropout is of hidden layers; that of the last layer must be 0.")

    @classmethod
    def dense(
        cls,
        layer_units: Sequence[int],
        activation: str | Activation | Sequence[str | Activation],
        loss: str | Loss,
    ) -> NetworkSpec:
        """The network of ``layer_units`` = (n_features, hidden sizes..., n_outputs).

        ``activation`` is one for all hidden layers, or one for each. How large the output layer's
        parameters begin is the last one's matter; a single one's even where there are no hidden
        layers, as in scikit-learn.
        """
        units = [int(n) for n in layer_units]
        hidden = hidden_activations(activation, len(units) - 2)
        single = isinstance(activation, str | Activation) and not hidden
        last = hidden_activations(activation, 1) if single else hidden[-1:]
        activations = [*hidden, ACTIVATIONS["identity"]]
        drawn_for = [*hidden, *(last or activations[-1:])]
        layers = tuple(
            LayerSpec(n_in, n_out, member, drawn.bound(n_in, n_out))
            for (n_in, n_out), member, drawn in zip(
                pairwise(units), activations, drawn_for, strict=True
            )
        )
        return cls(layers, chosen("loss", loss, LOSSES))

    def with_dropout(self, dropout: Any) -> NetworkSpec:
        """The same network with this share for all hidden layers, or with a list, one for each.

        It trains with dropout; what it predicts is the same.
        """
        n_hidden = len(self.layers) - 1
        shares: list[Any] = [dropout] * n_hidden if np.isscalar(dropout) else list(dropout)
        if len(shares) != n_hidden:
            raise ValueError(
                f"dropout must be one number or {n_hidden} numbers, one for each hidden layer, got"
                f" {dropout!r}."
            )
        layers = zip(self.layers, [*shares, 0.0], strict=True)
        return replace(self, layers=tuple(replace(layer, dropout=share) for layer, share in layers))

    @property
    def drops(self) -> bool:
        """Whether a training step silences outputs of any layer."""
        return any(layer.dropout for layer in self.layers)

    @property
    def predicting(self) -> NetworkSpec:
        """A network that predicts the same, without a loss that would have to be compiled."""
        link = self.loss.inverse_link
        if not isinstance(self.loss, Function):
            return self
        return replace(self, loss=next(x for x in LOSSES.values() if x.inverse_link == link))

    @property
    def own_functions(self) -> list[Function]:
        """The activations and the loss that are functions of the user's."""
        members = [*(layer.activation for layer in self.layers), self.loss]
        return [member for member in members if isinstance(member, Function)]

    @property
    def n_in(self) -> int:
        """Inputs of the first layer: features of X, where there is no embedding."""
        return self.layers[0].n_in

    @property
    def n_out(self) -> int:
        """Number of raw outputs."""
        return self.layers[-1].n_out

    @cached_property
    def layout(self) -> ParamLayout:
        """Where each weight and bias stands in the flat parameter vector."""
        return ParamLayout(self)


def hidden_activations(
    activation: str | Activation | Sequence[str | Activation], n_hidden: int
) -> tuple[Activation, ...]:
    """The activation of each hidden layer, from one for all of them or one for each.

    ValueError if they are fewer or more than there are layers, or a name is not known.
    """
    if isinstance(activation, str | Activation):
        activation = [activation] * n_hidden
    each: list[str | Activation] = list(activation)
    if len(each) != n_hidden or not all(isinstance(one, str | Activation) for one in each):
        raise ValueError(
            f"activation must be one for all hidden layers or a list of {n_hidden}, one for each"
            f" hidden layer, each a name or an object of fastnn.activations, got {each!r}."
        )
    return tuple(chosen("activation", member, ACTIVATIONS) for member in each)


@dataclass(frozen=True)
class Segment:
    """A weight matrix (n_in, n_out) or a bias (n_out,): its place and how it trains.

    Attributes
    ----------
    start, stop : int
        Its place in the parameter vector.
    shape : tuple of int
    rate, epsilon : float
        Factors of the learning rate and of the optimizer's epsilon.
    penalty : float
        Factor of the penalties, L2's ``alpha`` and the optimizer's ``l1``.
    decay : float
        Factor of the optimizer's ``weight_decay``.
    trainable : bool
        False leaves it as it is.
    """

    start: int
    stop: int
    shape: tuple[int, ...]
    rate: float = 1.0
    penalty: float = 1.0
    decay: float = 1.0
    epsilon: float = 1.0
    trainable: bool = True

    def view(self, vector: Array) -> Array:
        """This segment of ``vector (n_params,)`` in its own shape, without a copy."""
        return vector[self.start : self.stop].reshape(self.shape)


class ParamLayout:
    """The order of one parameter vector: all weights row-major from first to last, then all biases.

    The parameters of an embedding come last.

    It is the order in which scikit-learn packs parameters for L-BFGS, so that both optimise the
    same vector. As in scikit-learn biases are exempt from penalties, and from decay.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        start = 0
        segments: list[Segment] = []
        shapes = [(layer.n_in, layer.n_out) for layer in spec.layers]
        embedded = () if spec.embedding is None else spec.embedding.shapes()
        n_layers = len(spec.layers)
        for shape in [*shapes, *((n_out,) for _, n_out in shapes), *embedded]:
            stop = start + math.prod(shape)
            of_weights = float(len(segments) < n_layers)
            segments.append(Segment(start, stop, shape, penalty=of_weights, decay=of_weights))
            start = stop
        self.segments = tuple(segments)
        self.weights = self.segments[:n_layers]
        self.biases = self.segments[n_layers : 2 * n_layers]
        self.embedding = self.segments[2 * n_layers :]
        self.n_params = start

    def coefs(self, params: Array) -> list[Array]:
        """The weight matrices as views of ``params (n_params,)``."""
        return [segment.view(params) for segment in self.weights]

    def intercepts(self, params: Array) -> list[Array]:
        """The biases as views of ``params (n_params,)``."""
        return [segment.view(params) for segment in self.biases]

    def pack(self, coefs: Sequence[Array], intercepts: Sequence[Array], dtype: np.dtype) -> Array:
        """A new parameter vector of ``coefs`` and ``intercepts``; a wrong shape raises."""
        params = np.empty(self.n_params, dtype)
        for name, segments, given in (
            ("coefs_", self.weights, coefs),
            ("intercepts_", self.biases, intercepts),
        ):
            if len(given) != len(segments):
                raise ValueError(
                    f"{name} must hold {len(segments)} arrays, one for each layer, got"
                    f" {len(given)}."
                )
            for i, (segment, array) in enumerate(zip(segments, given, strict=True)):
                if np.shape(array) != segment.shape:
                    raise ValueError(
                        f"{name}[{i}] must have shape {segment.shape}, got {np.shape(array)}."
                    )
                segment.view(params)[...] = array
        return params


def initialise(spec: NetworkSpec, dtype: np.dtype, random_state: np.random.RandomState) -> Array:
    """Parameters ``(n_params,)`` drawn in scikit-learn's order.

    Weights and biases are uniform in ``+-bound`` of their layer; drawn in float64, then cast to
    ``dtype``. An embedding begins with W 0, linear and bias uniform in +-1, scale 1.
    """
    params = arrays.zeros((spec.layout.n_params,), dtype)
    for layer, weight, bias in zip(
        spec.layers, spec.layout.weights, spec.layout.biases, strict=True
    ):
        for segment in (weight, bias):
            drawn = random_state.uniform(-layer.bound, layer.bound, segment.shape)
            segment.view(params)[...] = drawn
    if spec.layout.embedding:
        initialise_embedding(spec.layout, params, random_state)
    return params


def initialise_embedding(
    layout: ParamLayout, params: Array, random_state: np.random.RandomState
) -> None:
    """Set an embedding's part of ``params (n_params,)``: W 0, linear and bias in +-1, scale 1."""
    bins, linear, offset, scale = (segment.view(params) for segment in layout.embedding)
    bins[...], scale[...] = 0, 1
    for view in (linear, offset):
        view[...] = random_state.uniform(-1, 1, view.shape)
