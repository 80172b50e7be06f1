"""The outer loop: from points and coordinates to a potential. Pure JAX below, no user input checks."""

from brenier.training.config import PotentialFactory, TrainingConfig, choose_config
from brenier.training.descent import LossObjective
from brenier.training.dual import DualObjective
from brenier.training.fit import Fit, Outcome, Stop, baseline_outcome, train
from brenier.training.history import HistoryRow, LossRow, OnRow
from brenier.training.holdout import Holdout
from brenier.training.objective import AbstractObjective, Chunk, Losses
from brenier.training.refit import MOST_REFITTED, train_twice

__all__ = [
    "MOST_REFITTED",
    "AbstractObjective",
    "Chunk",
    "DualObjective",
    "Fit",
    "HistoryRow",
    "Holdout",
    "LossObjective",
    "LossRow",
    "Losses",
    "OnRow",
    "Outcome",
    "PotentialFactory",
    "Stop",
    "TrainingConfig",
    "baseline_outcome",
    "choose_config",
    "train",
    "train_twice",
]
