"""Which version of fastnn is this? The one place that says so; pyproject.toml reads it here."""

__version__ = "0.1.0"
