"""What is a network? Frozen descriptions, and where each weight stands in one flat parameter vector."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from fastnn.core.activations import ACTIVATIONS, Array
from fastnn.core.losses import LOSSES


@dataclass(frozen=True)
class LayerSpec:
    """A dense layer: ``n_in`` inputs, ``n_out`` neurons, an activation named in ``ACTIVATIONS``."""

    n_in: int
    n_out: int
    activation: str


@dataclass(frozen=True)
class NetworkSpec:
    """Dense layers in order and the loss named in ``LOSSES``.

    The last layer's activation is "identity": its raw output goes to the loss, or through its link
    to become a prediction.
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

    @classmethod
    def dense(cls, layer_units: Sequence[int], activation: str, loss: str) -> NetworkSpec:
        """The network of ``layer_units`` = (n_features, hidden sizes..., n_outputs) one activation for all hidden layers."""
        n_hidden = len(layer_units) - 2
        names = [activation] * n_hidden + ["identity"]
        pairs = pairwise(int(n) for n in layer_units)
        return cls(
            tuple(
                LayerSpec(n_in, n_out, name)
                for (n_in, n_out), name in zip(pairs, names, strict=True)
            ),
            loss,
        )

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


@dataclass(frozen=True)
class Segment:
    """A weight matrix (n_in, n_out) or a bias (n_out,): its place in the parameter vector. Only weights are penalised."""

    start: int
    stop: int
    shape: tuple[int, ...]

    def view(self, vector: Array) -> Array:
        """This segment of ``vector (n_params,)`` in its own shape, without a copy."""
        return vector[self.start : self.stop].reshape(self.shape)


class ParamLayout:
    """The order of one parameter vector: all weights row-major from the first layer to the last,
    then all biases.

    It is the order in which scikit-learn packs parameters for L-BFGS, so that both optimise the
    same vector.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        start = 0
        segments = []
        shapes = [(layer.n_in, layer.n_out) for layer in spec.layers] + [
            (layer.n_out,) for layer in spec.layers
        ]
        for shape in shapes:
            stop = start + math.prod(shape)
            segments.append(Segment(start, stop, shape))
            start = stop
        self.weights = tuple(segments[: len(spec.layers)])
        self.biases = tuple(segments[len(spec.layers) :])
        self.n_weights = self.weights[
            -1
        ].stop  # params[:n_weights] is everything an L2 penalty sees
        self.n_params = start

    def coefs(self, params: Array) -> list[Array]:
        """The weight matrices as views of ``params (n_params,)``."""
        return [segment.view(params) for segment in self.weights]

    def intercepts(self, params: Array) -> list[Array]:
        """The biases as views of ``params (n_params,)``."""
        return [segment.view(params) for segment in self.biases]

    def pack(self, coefs: Sequence[Array], intercepts: Sequence[Array], dtype: np.dtype) -> Array:
        """A new parameter vector holding ``coefs`` and ``intercepts``; a wrong shape raises, naming the array."""
        params = np.empty(self.n_params, dtype)
        for name, segments, arrays in (
            ("coefs_", self.weights, coefs),
            ("intercepts_", self.biases, intercepts),
        ):
            if len(arrays) != len(segments):
                raise ValueError(
                    f"{name} must hold {len(segments)} arrays, one for each layer, got {len(arrays)}."
                )
            for i, (segment, array) in enumerate(zip(segments, arrays, strict=True)):
                if np.shape(array) != segment.shape:
                    raise ValueError(
                        f"{name}[{i}] must have shape {segment.shape}, got {np.shape(array)}."
                    )
                segment.view(params)[...] = array
        return params


def initialise(
    spec: NetworkSpec,
    dtype: np.dtype,
    random_state: np.random.RandomState,
    activation: str | None = None,
) -> Array:
    """Parameters ``(n_params,)`` drawn after Glorot and Bengio (2010), biases too, in
    scikit-learn's order of draws.

    Uniform in +-sqrt(6 / (n_in + n_out)), with 2 in place of 6 for logistic networks; drawn in
    float64, then cast. ``activation`` is that of the hidden layers, by default read off the first:
    scikit-learn's bound follows the name it was given even where there are no hidden layers.
    """
    params = np.empty(spec.layout.n_params, dtype)
    factor = 2.0 if (activation or spec.layers[0].activation) == "logistic" else 6.0
    for layer, weight, bias in zip(
        spec.layers, spec.layout.weights, spec.layout.biases, strict=True
    ):
        bound = np.sqrt(factor / (layer.n_in + layer.n_out))
        weight.view(params)[...] = random_state.uniform(-bound, bound, weight.shape)
        bias.view(params)[...] = random_state.uniform(-bound, bound, bias.shape)
    return params
