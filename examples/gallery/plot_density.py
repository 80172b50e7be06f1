"""
A density with its gradient
===========================

A map that makes data normal is a density model, exact and invertible. Here the true density is known, so that the
estimate, its samples and its gradient can be held against it, beside scikit-learn's estimators.
"""

# %%
# Data with a known density
# -------------------------
# A normal distribution bent twice: along a parabola, and then along a wave. Each bend shifts one coordinate by a
# function of the other, which changes no volume, so the density is that of a normal distribution, pulled back.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity

from brenier import BrenierDensity

STEPS = 1536
SEEN, UNSEEN = 4000, 6000
DATA, MODEL, INK = "#35608f", "#a23b72", "#3a3d42"

plt.rcParams.update({"figure.dpi": 120, "figure.constrained_layout.use": True, "font.size": 10})

rng = np.random.default_rng(0)


def bend(z: np.ndarray) -> np.ndarray:
    """From independent normal columns to the data."""
    x = 1.2 * z[:, 0]
    y = 0.45 * z[:, 1] + 0.3 * x**2
    return np.column_stack([x + 0.3 * np.sin(1.5 * y), y])


def log_density(points: np.ndarray) -> np.ndarray:
    """The truth: the bends undone, and the volume of the two scalings."""
    x = points[:, 0] - 0.3 * np.sin(1.5 * points[:, 1])
    y = points[:, 1] - 0.3 * x**2
    return -0.5 * ((x / 1.2) ** 2 + (y / 0.45) ** 2) - np.log(2 * np.pi * 1.2 * 0.45)


X, X_test = bend(rng.normal(size=(SEEN, 2))), bend(rng.normal(size=(UNSEEN, 2)))

# %%
# Three estimators
# ----------------
# All see the same 4,000 points. Cross-validation chooses the bandwidth of the kernel estimate and the number of normal
# distributions in the mixture.

density = BrenierDensity(max_steps=STEPS, random_state=0).fit(X)
kernel = GridSearchCV(KernelDensity(), {"bandwidth": np.geomspace(0.08, 0.3, 8)}, cv=3).fit(X)
mixture = GridSearchCV(GaussianMixture(random_state=0), {"n_components": [4, 8, 12, 16]}, cv=3).fit(X)
models = {"Brenier map": density, "Kernel estimate": kernel, "Gaussian mixture": mixture}
print(kernel.best_params_, mixture.best_params_)

# %%
# Contours
# --------
# Equal levels in all panels: each line is a factor of 4.5 below the last. Where there are few points, the kernels blur
# the ridge and the mixture breaks it into beads; the map bends a single normal distribution.

x, y = np.meshgrid(np.linspace(-4.3, 4.3, 121), np.linspace(-2.1, 5.6, 121))
grid = np.column_stack([x.ravel(), y.ravel()])
surfaces = {"Truth": log_density(grid)} | {name: model.score_samples(grid) for name, model in models.items()}
levels = log_density(X).max() + np.arange(-7.5, 0.1, 1.5)

figure, panels = plt.subplots(1, 4, figsize=(8, 2.25), sharex=True, sharey=True)
for axes, (name, surface) in zip(panels, surfaces.items(), strict=True):
    axes.contourf(x, y, surface.reshape(x.shape), levels=levels, cmap="BuPu")
    axes.contour(x, y, surface.reshape(x.shape), levels=levels, colors=INK, linewidths=0.5, linestyles="solid")
    axes.set_title(name, size=10)
    axes.set(xticks=[], yticks=[], aspect="equal")

# %%
# Samples, and which way the density rises
# ----------------------------------------
# Left: data, and as many samples of the model. Right: the gradient of the log density at some of the data, true in grey
# and learned in colour; samplers and optimisers ask for it.

drawn = density.sample(2000, random_state=1)
some = X_test[:220]
figure, panels = plt.subplots(1, 3, figsize=(8, 2.95), sharex=True, sharey=True)
panels[0].scatter(*X_test[:2000].T, s=2, c=DATA, linewidths=0)
panels[0].set_title("Data", size=10)
panels[1].scatter(*drawn.T, s=2, c=MODEL, linewidths=0)
panels[1].set_title("Samples of the model", size=10)


def true_gradient(points: np.ndarray) -> np.ndarray:
    """Central differences of the formula."""
    steps = 1e-5 * np.eye(2)
    return np.column_stack([(log_density(points + step) - log_density(points - step)) / 2e-5 for step in steps])


gradients = {"#b4b8bf": true_gradient(some), MODEL: density.gradient(some)}
for place, (colour, arrows) in enumerate(gradients.items()):
    style = {"angles": "xy", "scale_units": "xy", "scale": 9, "width": 0.009 - 0.004 * place}
    panels[2].quiver(*some.T, *arrows.T, color=colour, **style)
panels[2].set_title("Gradient: true, learned", size=10)
for axes in panels:
    axes.set(xlim=(-4.3, 4.3), ylim=(-2.1, 5.6), xticks=[], yticks=[], aspect="equal")

# %%
# Which is closest?
# -----------------
# The mean log density of points that no estimator has seen falls short of the truth's by the Kullback-Leibler
# divergence from the truth to the estimate, in nats a point.

truth = log_density(X_test)
divergence = {name: np.mean(truth - model.score_samples(X_test)) for name, model in models.items()}
for name, value in divergence.items():
    print(f"{name:<17}{value:.4f} nats a point from the truth")

exact = true_gradient(X_test)
error = np.mean(np.sum((density.gradient(X_test) - exact) ** 2, axis=1)) / np.mean(np.sum(exact**2, axis=1))
cell = (x[0, 1] - x[0, 0]) * (y[1, 0] - y[0, 0])
mass = cell * np.exp(surfaces["Brenier map"]).sum()
print(f"gradient: {100 * error:.1f} % of the square is wrong; mass on the grid: {mass:.4f}")

assert divergence["Brenier map"] < 0.7 * min(divergence["Kernel estimate"], divergence["Gaussian mixture"])
assert error < 0.3
assert abs(mass - cell * np.exp(surfaces["Truth"]).sum()) < 0.02

plt.show()
