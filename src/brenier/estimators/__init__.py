"""The scikit-learn face: what users fit, how they set it, and the one door through which their data come in."""
