"""
A Hamilton-Jacobi equation in 50 dimensions
===========================================

Wells in 50 dimensions widen until they meet. Where they do, the solution has shocks. Each point of the picture is one
small minimisation; there is no grid in the other 48 dimensions, and the exact solution is known.
"""

# %%
# Three wells
# -----------
# The initial data are the lowest of three paraboloids of different width, depth and orientation. The least of several
# functions stays the least of their solutions, since both are minima; and the solution for a quadratic is a formula.
# That makes the exact solution known, shocks included. The library is given the function alone.

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from jax import Array

from brenier import HopfLax, hopf_lax

DIM, SIDE, TIMES = 50, 36, (0.0, 0.15, 0.5, 1.5)

plt.rcParams.update({"figure.dpi": 120, "figure.constrained_layout.use": True, "font.size": 10})

rng = np.random.default_rng(0)
centres = rng.normal(size=(3, DIM)) * 0.2
centres[:, :2] = [[-1.2, -0.7], [1.3, -0.5], [0.0, 1.2]]
depths = np.array([0.0, 0.35, 0.6])
frames = np.linalg.qr(rng.normal(size=(3, DIM, DIM)))[0]
matrices = np.einsum("kij,kj,klj->kil", frames, rng.uniform(0.6, 3.0, size=(3, DIM)), frames)


def wells(y: Array) -> Array:
    """The initial data, in JAX: rows to values."""
    away = y[:, None] - centres
    return jnp.min(0.5 * jnp.einsum("nki,kij,nkj->nk", away, matrices, away) + depths, axis=1)


def exact(x: np.ndarray, t: float) -> tuple[np.ndarray, np.ndarray]:
    """Value and gradient of the solution: those of the lowest of three quadratics."""
    away = x[:, None] - centres
    slopes = np.linalg.solve(np.eye(DIM) + t * matrices, np.einsum("kij,nkj->nki", matrices, away)[..., None])[..., 0]
    values = 0.5 * np.sum(away * slopes, axis=2) + depths
    lowest = values.argmin(axis=1)
    return values.min(axis=1), slopes[np.arange(len(x)), lowest]


# %%
# A slice
# -------
# The first two coordinates vary, the others are those of a point between the wells. Colour and lines are values, arrows
# are gradients. In 50 dimensions a random start rarely lies beyond the right ridge. But every minimiser is a point that
# some slope leads to, and slopes that one point has found are good guesses for another.

ticks = np.linspace(-2.4, 2.4, SIDE)
slice_ = np.tile(centres.mean(axis=0), (SIDE**2, 1))
slice_[:, :2] = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)


def solve(x: np.ndarray, t: float) -> HopfLax:
    """Solve twice: with slopes that other points have found, a point finds minima that its own starts have missed."""
    first = hopf_lax(wells, x, t, starts=4)
    if t == 0:
        return first
    slopes = first.gradient[rng.choice(len(x), 12, replace=False)]
    return hopf_lax(wells, x, t, starts=np.concatenate([first.minimizer[:, None], x[:, None] - t * slopes], axis=1))


found = [solve(slice_, t) for t in TIMES]

figure, panels = plt.subplots(1, 4, figsize=(10, 2.9), sharey=True)
few = np.arange(SIDE**2).reshape(SIDE, SIDE)[3::5, 3::5].ravel()
for axes, t, u in zip(panels, TIMES, found, strict=True):
    height = u.value.reshape(SIDE, SIDE)
    axes.contourf(ticks, ticks, height, levels=24, cmap="YlGnBu_r")
    axes.contour(ticks, ticks, height, levels=12, colors="white", linewidths=0.4)
    arrows = u.gradient[few, :2] / np.linalg.norm(u.gradient[few, :2], axis=1, keepdims=True)
    axes.quiver(*slice_[few, :2].T, *arrows.T, color="#333333", width=0.006, scale=16, pivot="mid")
    axes.set(title=f"$t$ = {t:g}", aspect="equal", xlabel="$x_1$")
panels[0].set_ylabel("$x_2$")

# %%
# Shocks
# ------
# On a line through the slice the solution has kinks, and its gradient jumps there. Lines are exact, dots are computed.

line = np.tile(centres.mean(axis=0), (121, 1))
line[:, 0], line[:, 1] = np.linspace(-2.4, 2.4, 121), -0.6
figure, panels = plt.subplots(1, 2, figsize=(8, 3))
for t, colour in zip(TIMES[1:], ("#1b7f8c", "#d1783c", "#7a4ea3"), strict=True):
    u, (value, slope) = solve(line, t), exact(line, t)
    for axes, dots, curve in zip(panels, (u.value, u.gradient[:, 0]), (value, slope[:, 0]), strict=True):
        axes.plot(line[:, 0], curve, color=colour, lw=1, label=f"$t$ = {t:g}")
        axes.plot(line[::4, 0], dots[::4], "o", color=colour, ms=3)
panels[0].set(title="$u$", xlabel="$x_1$")
panels[1].set(title=r"$\partial u / \partial x_1$", xlabel="$x_1$")
panels[1].legend(frameon=False, loc="upper left")

# %%
# How exact?
# ----------
# Errors over the slice, against the formula. Minima are many, and the lowest of them was found at every point.

for t, u in zip(TIMES, found, strict=True):
    value, slope = exact(slice_, t)
    error, off = np.abs(u.value - value).max(), np.abs(u.gradient - slope).max()
    print(
        f"t = {t:<5g} largest error {error:.1e}, of the gradient {off:.1e};  {u.evaluations.mean():4.0f} gradients a "
        f"point;  {100 * u.disagree.mean():3.0f} % of the points have several minima"
    )
    assert u.converged.all()
    assert error < 1e-8
    assert off < 1e-4

    assert t == 0 or u.disagree.mean() > 0.1

plt.show()
