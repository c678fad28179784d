"""How may the rows of a batch be changed before a step? The augmentations, with their settings."""

from fastnn.core.augmentations import Augmentation, InputNoise, Mixup

__all__ = ["Augmentation", "InputNoise", "Mixup"]
