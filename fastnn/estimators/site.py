"""Where are the rows of a fit, and how are they learned there? Here, unless they are too many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastnn.backends.base import Engine
from fastnn.core.augmentations import Augmentation
from fastnn.estimators.targets import Targets
from fastnn.training import lbfgs
from fastnn.training.callbacks import Callback, Origin
from fastnn.training.data import row_numbers
from fastnn.training.loop import train
from fastnn.training.state import LoopState


@dataclass
class Site:
    """This process, which holds all rows.

    Attributes
    ----------
    engine : Engine
        For the network of the fit.
    origin : Origin
    targets : Targets
        Those of ``origin.data``.
    """

    engine: Engine
    origin: Origin
    targets: Targets

    def row_numbers(self) -> NDArray[np.integer]:
        """The rows that a pass visits, before any is held out."""
        return row_numbers(self.origin.data.X.shape[0])

    def sums(self) -> lbfgs.Sums:
        """What L-BFGS asks of all rows."""
        return lbfgs.sums_of(self.engine, self.origin.data)

    def train(
        self,
        loop: LoopState,
        callbacks: tuple[Callback, ...],
        augmentations: Sequence[Augmentation],
    ) -> None:
        """Train on minibatches; see :func:`fastnn.training.loop.train`."""
        train(loop, self.engine, self.origin.data, callbacks, augmentations)
