"""What does a fitted network answer? Its arrays gathered into one vector, an engine, and the link of its loss."""

from __future__ import annotations

import operator
import os
import sys
from collections.abc import Sequence

import numpy as np
import scipy.sparse

from fastnn.backends import choose
from fastnn.backends.base import Engine
from fastnn.core.activations import Array
from fastnn.core.network import NetworkSpec
from fastnn.training.data import design_matrix


class Network:
    """A network with parameters: one vector, and the views of it that users know as ``coefs_`` and
    ``intercepts_``.

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
        self._engines: dict[tuple[str, np.dtype, int | None], Engine] = {}

    @classmethod
    def gather(
        cls, coefs: Sequence[Array], intercepts: Sequence[Array], activation: str, loss: str
    ) -> Network:
        """A network of copies of these arrays; shapes that do not fit together raise ValueError, naming the array."""
        if not len(coefs):
            raise ValueError("coefs_ must hold at least one array, got an empty list.")
        coefs, intercepts = (
            [np.asarray(coef) for coef in coefs],
            [np.asarray(intercept) for intercept in intercepts],
        )
        for i, coef in enumerate(coefs):
            if np.ndim(coef) != 2:
                raise ValueError(
                    f"coefs_[{i}] must have two dimensions, (n_in, n_out), got shape {np.shape(coef)}."
                )
        units = [len(coef) for coef in coefs] + [np.shape(coefs[-1])[1]]
        spec = NetworkSpec.dense(units, activation, loss)
        return cls(
            spec,
            spec.layout.pack(coefs, intercepts, _float_dtype(np.result_type(*coefs, *intercepts))),
        )

    def __reduce__(self) -> tuple[type[Network], tuple[NetworkSpec, Array]]:
        return Network, (self.spec, self.params)  # engines stay behind

    def copy(self, dtype: np.dtype) -> Network:
        """The same network with parameters of its own."""
        return Network(self.spec, self.params.astype(dtype))

    def holds(
        self, coefs: Sequence[Array], intercepts: Sequence[Array], activation: str, loss: str
    ) -> bool:
        """Whether this is the network of these very arrays, so that an edit in place reaches ``params``."""
        return (
            self.spec.loss == loss
            and (len(self.coefs) == 1 or self.spec.layers[0].activation == activation)
            and len(coefs) == len(self.coefs)
            and len(intercepts) == len(self.intercepts)
            and all(map(operator.is_, coefs, self.coefs))
            and all(map(operator.is_, intercepts, self.intercepts))
        )

    def predict(
        self,
        X: Array | scipy.sparse.csr_array,
        backend: str,
        n_threads: int | None,
    ) -> Array:
        """Predictions ``(n_rows, n_out)`` for ``X (n_rows, n_in)``, through the link; float32 only
        if both sides are.

        Raises :class:`fastnn.backends.checks.NotFinite` if a dense X holds NaN or infinity.
        """
        dtype = self.params.dtype
        if X.dtype != dtype:
            dtype = _float_dtype(np.result_type(X.dtype, dtype))
        key = backend, dtype, n_threads
        engine = self._engines.get(key)
        if engine is None:
            engine = self._engines[key] = choose(backend, self.spec, dtype).engine(
                self.spec, dtype, n_threads or sys.maxsize
            )
        predictions = np.empty((X.shape[0], self.spec.n_out), dtype)
        engine.predict(self.params.astype(dtype, copy=False), design_matrix(X, dtype), predictions)
        return predictions


def _float_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype to compute in: float32 stays, anything else is float64."""
    return np.dtype(np.float32 if dtype == np.float32 else np.float64)


def check_memory(spec: NetworkSpec, dtype: np.dtype) -> None:
    """Raise MemoryError if training would need more memory than this machine has, before any of it is taken."""
    n_params = spec.layout.n_params
    needed = (
        n_params * dtype.itemsize * 5
    )  # parameters, two optimizer slots, transposed panels, a snapshot
    try:
        present = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not a POSIX system: allocation itself will tell
        return
    if needed > present:
        sizes = [layer.n_out for layer in spec.layers[:-1]]
        raise MemoryError(
            f"A network with {spec.n_in} features, hidden layers of {sizes} and {spec.n_out} outputs has {n_params:,}"
            f" parameters and needs about {needed / 2**30:.1f} GiB to train; this machine has {present / 2**30:.1f} GiB."
            " Choose fewer or smaller hidden layers (hidden_layer_sizes), or fewer features."
        )
