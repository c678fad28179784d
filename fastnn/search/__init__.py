"""What does accuracy cost? The trade-off explorer: search, measurement, front and picture."""
