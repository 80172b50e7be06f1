"""Checkpoints: what lets a fit that was cut off go on in another process, to the same map bit for bit."""

from brenier.checkpoint.keeping import Checkpoints, Resumed, open_checkpoints
from brenier.checkpoint.termination import Terminated, saved_on_sigterm

__all__ = ["Checkpoints", "Resumed", "Terminated", "open_checkpoints", "saved_on_sigterm"]
