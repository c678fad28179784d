"""What does a scikit-learn user see? The estimators, their parameters and their targets."""

from fastnn._lazy import submodules

__getattr__ = submodules(__name__)
