"""The outer loop: from points and coordinates to a potential. Pure JAX below, no user input checks."""

from brenier.training.config import PotentialFactory, TrainingConfig, choose_config
from brenier.training.fit import Outcome, Stop, gaussian_outcome
from brenier.training.history import OnLook, Row
from brenier.training.holdout import Holdout
from brenier.training.loop import train
from brenier.training.refit import MOST_REFITTED, Supply, train_twice

__all__ = [
    "MOST_REFITTED",
    "Holdout",
    "OnLook",
    "Outcome",
    "PotentialFactory",
    "Row",
    "Stop",
    "Supply",
    "TrainingConfig",
    "choose_config",
    "gaussian_outcome",
    "train",
    "train_twice",
]
