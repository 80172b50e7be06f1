"""What may watch a fit, end it early, or log it: functions of a row, and objects with up to three methods."""

from brenier.callbacks.progress import Progress
from brenier.callbacks.protocol import Callback, Callbacks, End, Start

__all__ = ["Callback", "Callbacks", "End", "Progress", "Start"]
