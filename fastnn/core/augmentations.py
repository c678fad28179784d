"""How are the rows of a batch changed before a step learns from them? By augmentations.

Nothing below training knows of them: what a step sees is an ordinary batch.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import scipy.sparse

from fastnn.core.activations import Array
from fastnn.core.family import Allowed, Member, by_name, number


class Batch(NamedTuple):
    """Rows of ``fastnn.backends.base.Data``; all floating arrays have the dtype of X."""

    X: Array | scipy.sparse.csr_array
    y: np.ndarray
    weight: Array | None


class Augmentation(Member):
    """A random change of a batch.

    Attributes
    ----------
    copies : int
        How many rows it makes of each.
    takes_sparse : bool
        Whether X may be sparse.
    """

    copies: ClassVar[int] = 1
    takes_sparse: ClassVar[bool] = True

    @abstractmethod
    def applied(self, batch: Batch, generator: np.random.Generator) -> Batch:
        """A changed copy of ``batch``; the generator is the batch's own."""


@dataclass(repr=False)
class InputNoise(Augmentation):
    """Adds to each number of X normal noise, new in each pass.

    Parameters
    ----------
    scale : float
        The noise's standard deviation, in the units of X's columns as they are given.
    """

    scale: float = 0.1

    name = "input_noise"
    takes_sparse = False
    allowed: ClassVar[Mapping[str, Allowed]] = {"scale": number("[0, inf)")}

    def applied(self, batch: Batch, generator: np.random.Generator) -> Batch:
        """X with noise."""
        noise = generator.standard_normal(batch.X.shape, batch.X.dtype.type)
        noise *= self.scale
        noise += batch.X
        return batch._replace(X=noise)


@dataclass(repr=False)
class Mixup(Augmentation):
    """Learns from points between two rows, with the targets of both (Zhang et al. 2018, ICLR).

    With ``lam ~ Beta(alpha, alpha)`` of its own for each row i, and a partner j in the batch, the
    network is given ``lam x_i + (1 - lam) x_j`` and the loss is ``lam w_i loss(y_i) + (1 - lam) w_j
    loss(y_j)``, for any loss: of each row there come two, which makes a step twice as long.

    Parameters
    ----------
    alpha : float
        Small: near one of the two rows; 1: anywhere between them.
    """

    alpha: float = 0.2

    name = "mixup"
    copies = 2
    allowed: ClassVar[Mapping[str, Allowed]] = {"alpha": number("(0, inf)")}

    def applied(self, batch: Batch, generator: np.random.Generator) -> Batch:
        """Points between, with the targets of the rows, then again with those of the partners."""
        X, y, weight = batch
        partner = generator.permutation(len(y))
        lam = generator.beta(self.alpha, self.alpha, len(y)).astype(X.dtype)
        between = _times(X, lam) + _times(X[partner], 1 - lam)
        shares = np.concatenate([lam, 1 - lam])
        if weight is not None:
            shares *= np.concatenate([weight, weight[partner]])
        return Batch(_stacked(between), np.concatenate([y, y[partner]]), shares)


def _times(X: Array | scipy.sparse.csr_array, factors: Array) -> Array | scipy.sparse.csr_array:
    """Each row times its factor."""
    if isinstance(X, np.ndarray):
        return X * factors[:, None]
    each = np.repeat(factors, np.diff(X.indptr))
    return scipy.sparse.csr_array((X.data * each, X.indices, X.indptr), X.shape)


def _stacked(X: Array | scipy.sparse.csr_array) -> Array | scipy.sparse.csr_array:
    """The rows, twice."""
    if isinstance(X, np.ndarray):
        return np.concatenate([X, X])
    return scipy.sparse.vstack([X, X], format="csr")


AUGMENTATIONS: dict[str, Augmentation] = by_name(InputNoise(), Mixup())
