"""Neural networks on CPUs: scikit-learn's MLP, with its whole training pass compiled."""

__version__ = "0.1.0"
