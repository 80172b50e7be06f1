"""How the detector of the target answers differently: one affine response, and one that no affine map undoes.

Both take and give features in standard deviations of the source. No method is told anything about them.
"""

from collections.abc import Callable
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

__all__ = ["FEATURES", "SHIFTS", "affine", "bent", "crosstalk", "warped", "warps"]

Array = NDArray[np.float64]

FEATURES = ("length", "width", "size", "conc", "conc1", "asym", "m3long", "m3trans", "alpha", "dist")
"""Columns of the MAGIC events: axes of the image, its brightness and concentration, asymmetry, angle and distance."""

_COLUMN = {name: place for place, name in enumerate(FEATURES)}

_GAINS = np.array([1.25, 1.35, 0.85, 0.8, 0.9, 0.75, 1.3, 1.1, 0.7, 1.2])
_OFFSETS = np.array([0.3, 0.25, -0.3, 0.2, 0.1, -0.1, 0.2, 0.0, 0.25, -0.3])

_LEAKS = {("length", "size"): 0.25, ("width", "size"): 0.15, ("m3long", "asym"): 0.2, ("alpha", "dist"): -0.15}
"""How much of the second feature gets into the first, but none of the first into the second: so the mixing is no
symmetric matrix, and even the affine response is not an optimal-transport map."""

_CROSSTALK = np.array([0.5, 0.3, 0.6, -0.3, -0.2, 0.0, 0.0, 0.0, 0.2, 0.0])


def affine(x: Array) -> Array:
    """Gains, offsets, and leaks between features that are correlated."""
    mixing = np.eye(len(FEATURES))
    for (into, out_of), share in _LEAKS.items():
        mixing[_COLUMN[into], _COLUMN[out_of]] = share
    return (_GAINS * x) @ mixing.T + _OFFSETS


def warped(x: Array) -> Array:
    """Warps of each feature, then crosstalk from bright images, and at last a part that is no gradient."""
    return bent(crosstalk(warps(x)))


def warps(x: Array) -> Array:
    """Increasing functions of one feature each: the gradient of a convex function, an optimal-transport map."""
    out = x.copy()
    for name in ("length", "width"):  # saturation in both directions
        out[:, _COLUMN[name]] = _sign_log(x[:, _COLUMN[name]], 1.0)
    bright = x[:, _COLUMN["size"]]
    out[:, _COLUMN["size"]] = np.where(bright > 0, _sign_log(bright, 0.7), 1.3 * bright)  # large signals saturate
    for name in ("conc", "conc1"):  # small signals drown below a threshold
        value = x[:, _COLUMN[name]]
        out[:, _COLUMN[name]] = 0.4 * value + 0.8 * np.logaddexp(0, 4 * value) / 4
    for name in ("asym", "m3long"):
        out[:, _COLUMN[name]] = np.arcsinh(2 * x[:, _COLUMN[name]])
    angle, distance = x[:, _COLUMN["alpha"]], x[:, _COLUMN["dist"]]
    out[:, _COLUMN["alpha"]] = 0.5 * angle + 0.25 * np.exp(0.7 * angle)
    out[:, _COLUMN["dist"]] = distance + 0.4 * np.sin(2 * distance)
    return out


def crosstalk(x: Array) -> Array:
    """Bright images push several features at once: the identity plus the gradient of a convex function of one sum."""
    return x + np.outer(np.reciprocal(1 + np.exp(-3 * (x @ _CROSSTALK) + 0.5)), 1.5 * _CROSSTALK)


def bent(x: Array) -> Array:
    """What is no gradient of any function: gains and a rotation of some features that depend on another."""
    out, far = x.copy(), np.tanh(x[:, _COLUMN["dist"]])
    out[:, _COLUMN["alpha"]] *= 1 + 0.25 * far
    out[:, _COLUMN["length"]] += 0.2 * far
    one, two = x[:, _COLUMN["asym"]], x[:, _COLUMN["m3long"]]
    out[:, _COLUMN["asym"]] = np.cos(0.4 * far) * one - np.sin(0.4 * far) * two
    out[:, _COLUMN["m3long"]] = np.sin(0.4 * far) * one + np.cos(0.4 * far) * two
    return out


def _sign_log(value: Array, level: float) -> Array:
    """Slope one at zero, and a logarithm well above and below."""
    return np.sign(value) * level * np.log1p(np.abs(value) / level)


SHIFTS: MappingProxyType[str, Callable[[Array], Array]] = MappingProxyType({"affine": affine, "warped": warped})
