"""Which private names of scikit-learn does fastnn use? These; no other file imports one.

None of them has a public counterpart. Each stands here under the name that the rest of fastnn uses.
"""

from __future__ import annotations

from sklearn.base import _fit_context as fit_context
from sklearn.utils._param_validation import HasMethods, Interval, Options, StrOptions

__all__ = ["HasMethods", "Interval", "Options", "StrOptions", "fit_context"]
