"""The demonstration: the colours of two photographs that ship with scikit-learn, exchanged by one transport map."""

from brenier.demo.run import Demo, run_demo

__all__ = ["Demo", "run_demo"]
