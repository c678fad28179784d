"""What does a network with parameters answer? Predictions, and the output of each of its layers."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import numpy as np
import scipy.sparse

from fastnn.backends import choose
from fastnn.backends.base import Engine
from fastnn.backends.threads import available_cpus
from fastnn.core import arrays
from fastnn.core.activations import ACTIVATIONS, Activation, Array
from fastnn.core.cost import check_memory
from fastnn.core.links import INVERSE_LINKS
from fastnn.core.losses import Loss
from fastnn.core.network import NetworkSpec, initialise
from fastnn.training.data import design_matrix


class Network:
    """A network with parameters: one vector, and its views ``coefs_`` and ``intercepts_``.

    Parameters
    ----------
    spec : NetworkSpec
    params : ndarray of shape (n_params,)
    """

    def __init__(self, spec: NetworkSpec, params: Array) -> None:
        self.spec = spec
        self.params = params
        self.coefs = tuple(spec.layout.coefs(params))
        self.intercepts = tuple(spec.layout.intercepts(params))
        self._activations = tuple(layer.activation for layer in spec.layers[:-1])
        first = spec.layers[0].activation.name
        alike = all(one == ACTIVATIONS.get(first) for one in self._activations)
        self._common = first if alike else None  # the name that stands for all hidden layers
        self._engines: dict[tuple[str, np.dtype, int | None], Engine] = {}

    @classmethod
    def create(
        cls, spec: NetworkSpec, dtype: np.dtype, random_state: np.random.RandomState
    ) -> Network:
        """A network before its first step, its parameters drawn as scikit-learn draws them.

        One that needs more memory to train than there is raises MemoryError, and draws nothing.
        """
        check_memory(spec, dtype)
        return cls(spec, initialise(spec, dtype, random_state))

    @classmethod
    def gather(
        cls,
        coefs: Sequence[Array],
        intercepts: Sequence[Array],
        activation: str | Activation | Sequence[str | Activation],
        loss: Loss,
    ) -> Network:
        """A network of copies of these arrays; shapes that do not fit together raise ValueError."""
        if not len(coefs):
            raise ValueError("coefs_ must hold at least one array, got an empty list.")
        coefs, intercepts = (
            [np.asarray(coef) for coef in coefs],
            [np.asarray(intercept) for intercept in intercepts],
        )
        for i, coef in enumerate(coefs):
            if np.ndim(coef) != 2:
                raise ValueError(
                    f"coefs_[{i}] must have two dimensions, (n_in, n_out), got shape"
                    f" {np.shape(coef)}."
                )
        units = [len(coef) for coef in coefs] + [np.shape(coefs[-1])[1]]
        spec = NetworkSpec.dense(units, activation, loss)
        dtype = _float_dtype(np.result_type(*coefs, *intercepts))
        return cls(spec, spec.layout.pack(coefs, intercepts, dtype))

    def __reduce__(self) -> tuple[type[Network], tuple[NetworkSpec, Array]]:
        return Network, (self.spec, self.params)  # engines stay behind

    def copy(self, dtype: np.dtype) -> Network:
        """The same network with parameters of its own."""
        return Network(self.spec, arrays.copy(self.params, dtype))

    def holds(
        self,
        coefs: Sequence[Array],
        intercepts: Sequence[Array],
        activation: str | Activation | Sequence[str | Activation],
        loss: Loss,
    ) -> bool:
        """Whether this is the network of these very arrays: then an edit reaches ``params``."""
        return (
            (self.spec.loss is loss or self.spec.loss == loss)
            and self._has(activation)
            and len(coefs) == len(self.coefs)
            and len(intercepts) == len(self.intercepts)
            and all(map(operator.is_, coefs, self.coefs))
            and all(map(operator.is_, intercepts, self.intercepts))
        )

    def _has(self, activation: str | Activation | Sequence[str | Activation]) -> bool:
        """Whether the hidden layers' activation is this."""
        if activation == self._common:  # the usual case, in no time
            return True
        mine = self._activations
        given: Sequence[str | Activation] = activation  # type: ignore[assignment]
        if isinstance(activation, str | Activation):
            given = (activation,) * len(mine)
        return len(given) == len(mine) and all(
            one == (ACTIVATIONS.get(other) if isinstance(other, str) else other)
            for one, other in zip(mine, given, strict=True)
        )

    def predict(
        self, X: Array | scipy.sparse.csr_array, backend: str, n_threads: int | None
    ) -> Array:
        """Predictions ``(n_rows, n_out)`` for ``X (n_rows, n_in)``, through the inverse link.

        float32 only if both sides are. Raises :class:`fastnn.backends.checks.NotFinite` if a dense
        X holds NaN or infinity.
        """
        dtype = self.params.dtype
        if X.dtype != dtype:
            dtype = _float_dtype(np.result_type(X.dtype, dtype))
        key = backend, dtype, n_threads
        engine = self._engines.get(key)
        if engine is None:
            spec = self.spec.predicting
            engine = choose(backend, spec, dtype).engine(spec, dtype, thread_limit(n_threads))
            self._engines[key] = engine
        predictions = np.empty((X.shape[0], self.spec.n_out), dtype)
        engine.predict(self.params.astype(dtype, copy=False), design_matrix(X, dtype), predictions)
        return predictions

    def layer_outputs(self, X: Array | scipy.sparse.csr_array) -> list[Array]:
        """What each layer makes of ``X (n_rows, n_in)``: arrays ``(n_rows, n_out)`` of that layer.

        By the reference formulas, in NumPy. The last is the prediction, through the inverse link.
        """
        outputs: list[Array] = []
        for layer, W, b in zip(self.spec.layers, self.coefs, self.intercepts, strict=True):
            below = outputs[-1] if outputs else X
            outputs.append(layer.activation.value_and_slope(below @ W + b)[0])
        outputs[-1] = INVERSE_LINKS[self.spec.loss.inverse_link].apply(outputs[-1])
        return outputs


def thread_limit(n_threads: int | None) -> int:
    """The most threads an engine may use: ``n_threads``, but no more than there are processors."""
    if n_threads == 1:  # to ask for the processors takes as long as fifty small steps
        return 1
    n_cpus = available_cpus()
    return min(n_threads or n_cpus, n_cpus)


def _float_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype to compute in: float32 stays, anything else is float64."""
    return np.dtype(np.float32 if dtype == np.float32 else np.float64)
