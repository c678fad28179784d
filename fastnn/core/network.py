"""What is a network?

Frozen descriptions, and where each weight stands in one flat parameter vector.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from numbers import Real

import numpy as np

from fastnn.core.activations import ACTIVATIONS, Array
from fastnn.core.losses import LOSSES


@dataclass(frozen=True)
class LayerSpec:
    """A dense layer: ``n_in`` inputs, ``n_out`` neurons, an activation named in ``ACTIVATIONS``.

    ``gain`` says how large its initial parameters are: see :func:`initialise`. ``dropout`` is the
    share of its outputs that a training step silences: see :mod:`fastnn.core.dropout`.
    """

    n_in: int
    n_out: int
    activation: str
    gain: float = 6.0
    dropout: float = 0.0


@dataclass(frozen=True)
class NetworkSpec:
    """Dense layers in order and the loss named in ``LOSSES``.

    The last layer's activation is "identity": its raw output goes to the loss, or through the
    loss's inverse link to become a prediction.
    """

    layers: tuple[LayerSpec, ...]
    loss: str

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise ValueError(f"loss must be one of {sorted(LOSSES)}, got {self.loss!r}.")
        for layer in self.layers:
            if layer.activation not in ACTIVATIONS:
                raise ValueError(
                    f"activation must be one of {sorted(ACTIVATIONS)}, got {layer.activation!r}."
                )
        for below, above in pairwise(self.layers):
            if below.n_out != above.n_in:
                raise ValueError(
                    f"A layer of {below.n_out} neurons cannot feed a layer of {above.n_in} inputs."
                )
        if not self.layers or self.layers[-1].activation != "identity":
            raise ValueError(
                "A network needs at least one layer, and its last activation must be 'identity'."
            )
        for layer in self.layers:
            if not (isinstance(layer.dropout, Real) and 0 <= layer.dropout < 1):
                raise ValueError(f"dropout must lie in [0, 1), got {layer.dropout!r}.")
        if self.layers[-1].dropout:
            raise ValueError("dropout is of hidden layers; that of the last layer must be 0.")

    @classmethod
    def dense(
        cls, layer_units: Sequence[int], activation: str | Sequence[str], loss: str
    ) -> NetworkSpec:
        """The network of ``layer_units`` = (n_features, hidden sizes..., n_outputs).

        ``activation`` names one for all hidden layers, or one for each. The output layer takes its
        gain from the last of them; from a single name even where there are no hidden layers, as in
        scikit-learn.
        """
        units = [int(n) for n in layer_units]
        n_hidden = len(units) - 2
        names = [activation] * n_hidden if isinstance(activation, str) else list(activation)
        if len(names) != n_hidden:
            raise ValueError(
                f"activation must be one name or {n_hidden} names, one for each hidden layer, got"
                f" {activation!r}."
            )
        gains = [_gain(name) for name in names]
        gains.append(_gain(activation) if isinstance(activation, str) else gains[-1])
        shapes = pairwise(units)
        return cls(
            tuple(
                LayerSpec(n_in, n_out, name, gain)
                for (n_in, n_out), name, gain in zip(
                    shapes, [*names, "identity"], gains, strict=True
                )
            ),
            loss,
        )

    def with_dropout(self, dropout: float | Sequence[float]) -> NetworkSpec:
        """The same network with this share for all hidden layers, or with one for each.

        It trains with dropout; what it predicts is the same.
        """
        n_hidden = len(self.layers) - 1
        shares = [dropout] * n_hidden if isinstance(dropout, Real) else list(dropout)
        if len(shares) != n_hidden:
            raise ValueError(
                f"dropout must be one number or {n_hidden} numbers, one for each hidden layer, got"
                f" {dropout!r}."
            )
        layers = zip(self.layers, [*shares, 0.0], strict=True)
        return replace(
            self, layers=tuple(replace(layer, dropout=share) for layer, share in layers)
        )

    @property
    def drops(self) -> bool:
        """Whether a training step silences outputs of any layer."""
        return any(layer.dropout for layer in self.layers)

    @property
    def n_in(self) -> int:
        """Number of input features."""
        return self.layers[0].n_in

    @property
    def n_out(self) -> int:
        """Number of raw outputs."""
        return self.layers[-1].n_out

    @cached_property
    def layout(self) -> ParamLayout:
        """Where each weight and bias stands in the flat parameter vector."""
        return ParamLayout(self)


def _gain(activation: str) -> float:
    """The activation's gain; a name that does not exist is the spec's to refuse."""
    return ACTIVATIONS[activation].gain if activation in ACTIVATIONS else LayerSpec.gain


@dataclass(frozen=True)
class Segment:
    """A weight matrix (n_in, n_out) or a bias (n_out,): its place and how it trains.

    Attributes
    ----------
    start, stop : int
        Its place in the parameter vector.
    shape : tuple of int
    rate, l2, epsilon : float
        Factors of the learning rate, of the L2 penalty ``alpha``, and of the optimizer's epsilon.
    decay : float
        Decoupled weight decay; see :func:`fastnn.core.optimizers.step`.
    trainable : bool
        False leaves it as it is.
    """

    start: int
    stop: int
    shape: tuple[int, ...]
    rate: float = 1.0
    l2: float = 1.0
    decay: float = 0.0
    epsilon: float = 1.0
    trainable: bool = True

    def view(self, vector: Array) -> Array:
        """This segment of ``vector (n_params,)`` in its own shape, without a copy."""
        return vector[self.start : self.stop].reshape(self.shape)


class ParamLayout:
    """The order of one parameter vector: all weights row-major from first to last, then all biases.

    It is the order in which scikit-learn packs parameters for L-BFGS, so that both optimise the
    same vector. As in scikit-learn biases are exempt from the L2 penalty.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        start = 0
        segments = []
        shapes = [(layer.n_in, layer.n_out) for layer in spec.layers]
        for shape in [*shapes, *((n_out,) for _, n_out in shapes)]:
            stop = start + math.prod(shape)
            segments.append(Segment(start, stop, shape, l2=float(len(shape) == 2)))
            start = stop
        self.segments = tuple(segments)
        self.weights = self.segments[: len(spec.layers)]
        self.biases = self.segments[len(spec.layers) :]
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
        for name, segments, arrays in (
            ("coefs_", self.weights, coefs),
            ("intercepts_", self.biases, intercepts),
        ):
            if len(arrays) != len(segments):
                raise ValueError(
                    f"{name} must hold {len(segments)} arrays, one for each layer, got"
                    f" {len(arrays)}."
                )
            for i, (segment, array) in enumerate(zip(segments, arrays, strict=True)):
                if np.shape(array) != segment.shape:
                    raise ValueError(
                        f"{name}[{i}] must have shape {segment.shape}, got {np.shape(array)}."
                    )
                segment.view(params)[...] = array
        return params


def initialise(spec: NetworkSpec, dtype: np.dtype, random_state: np.random.RandomState) -> Array:
    """Parameters ``(n_params,)`` after Glorot and Bengio (2010), drawn in scikit-learn's order.

    Weights and biases are uniform in ``+-sqrt(gain / (n_in + n_out))``; drawn in float64, then
    cast to ``dtype``.
    """
    params = np.empty(spec.layout.n_params, dtype)
    for layer, weight, bias in zip(
        spec.layers, spec.layout.weights, spec.layout.biases, strict=True
    ):
        bound = np.sqrt(layer.gain / (layer.n_in + layer.n_out))
        weight.view(params)[...] = random_state.uniform(-bound, bound, weight.shape)
        bias.view(params)[...] = random_state.uniform(-bound, bound, bias.shape)
    return params
