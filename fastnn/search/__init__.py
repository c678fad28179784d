"""What does each cost of an accuracy buy? The trade-off explorer: search, measurement, the front and its picture."""
