"""Who may look on while a network trains? What a user gives to ``set_callbacks``.

scikit-learn's own callbacks, such as ``sklearn.callback.ProgressBar``, are given there, too.
"""

from fastnn.training.callbacks import Callback, watched_by
from fastnn.training.checkpoint import Checkpoint, CheckpointError

__all__ = ["Callback", "Checkpoint", "CheckpointError", "watched_by"]
