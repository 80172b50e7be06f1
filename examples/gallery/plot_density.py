"""
A density with its gradient
===========================

A map that makes data normal is a density model, exact and invertible. Here the true density is known, so that the
estimate, its samples and its gradient can be held against it, beside scikit-learn's estimators.
"""

# %%
# Data with a known density
# -------------------------
# Two positive quantities, both skewed to the right, and the larger the one, the smaller the other: exponentials of
# normal variables, one divided by the square root of the other. The change of variables gives the density.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity

from brenier import BrenierDensity

STEPS = 2048
SEEN, UNSEEN = 4000, 4000
DATA, MODEL, INK = "#35608f", "#a23b72", "#3a3d42"

plt.rcParams.update({"figure.dpi": 120, "figure.constrained_layout.use": True, "font.size": 10})

rng = np.random.default_rng(0)


def skew(z: np.ndarray) -> np.ndarray:
    """From independent normal columns to the data."""
    first = np.exp(0.6 * z[:, 0])
    return np.column_stack([first, 1.5 * np.exp(0.5 * z[:, 1]) / np.sqrt(first)])


def log_density(points: np.ndarray) -> np.ndarray:
    """The truth: normal in the logarithms, and the volume of the change of variables."""
    first, second = np.log(points).T
    z = np.column_stack([first / 0.6, (second - np.log(1.5) + 0.5 * first) / 0.5])
    return -0.5 * np.sum(z**2, axis=1) - first - second - np.log(2 * np.pi * 0.6 * 0.5)


X, X_test = skew(rng.normal(size=(SEEN, 2))), skew(rng.normal(size=(UNSEEN, 2)))

# %%
# Three estimators
# ----------------
# All see the same 4,000 points. Cross-validation chooses the bandwidth of the kernel estimate and the number of normal
# distributions in the mixture.

density = BrenierDensity(max_steps=STEPS, refit=False, random_state=0).fit(X)
kernel = GridSearchCV(KernelDensity(), {"bandwidth": np.geomspace(0.1, 0.3, 5)}, cv=3).fit(X)
mixture = GridSearchCV(GaussianMixture(random_state=0), {"n_components": [4, 8, 16]}, cv=3).fit(X)
models = {"Brenier map": density, "Kernel estimate": kernel, "Gaussian mixture": mixture}
print(kernel.best_params_, mixture.best_params_)

# %%
# Contours
# --------
# Equal levels in all panels: each line is a factor of 4.5 below the last. Where there are few points, the kernels leave
# islands and the mixture joins straight pieces; the map bends a single normal distribution.

x, y = np.meshgrid(np.linspace(0.03, 4.8, 81), np.linspace(0.03, 4.8, 81))
grid = np.column_stack([x.ravel(), y.ravel()])
surfaces = {"Truth": log_density(grid)} | {name: model.score_samples(grid) for name, model in models.items()}
levels = log_density(X).max() + np.arange(-7.5, 0.1, 1.5)

figure, panels = plt.subplots(1, 4, figsize=(8, 2.25), sharex=True, sharey=True)
for axes, (name, surface) in zip(panels, surfaces.items(), strict=True):
    axes.contourf(x, y, surface.reshape(x.shape), levels=levels, cmap="BuPu", extend="max")
    axes.contour(x, y, surface.reshape(x.shape), levels=levels, colors=INK, linewidths=0.5, linestyles="solid")
    axes.set_title(name, size=10)
    axes.set(xticks=[], yticks=[], aspect="equal")

# %%
# Samples, and which way the density rises
# ----------------------------------------
# Data, as many samples of the model, and the gradient of the log density, true in grey and learned in colour; samplers
# and optimisers ask for it. Long arrows are shortened, `g / (1 + |g|)`, so that all can be seen.

drawn = density.sample(2000, random_state=1)
figure, panels = plt.subplots(1, 3, figsize=(8, 2.95), sharex=True, sharey=True)
panels[0].scatter(*X_test[:2000].T, s=2, c=DATA, linewidths=0)
panels[0].set_title("Data", size=10)
panels[1].scatter(*drawn.T, s=2, c=MODEL, linewidths=0)
panels[1].set_title("Samples of the model", size=10)


def true_gradient(points: np.ndarray) -> np.ndarray:
    """Central differences of the formula."""
    steps = 1e-5 * np.eye(2)
    return np.column_stack([(log_density(points + step) - log_density(points - step)) / 2e-5 for step in steps])


coarse = np.stack(np.meshgrid(*[np.linspace(0.2, 4.6, 16)] * 2), axis=-1).reshape(-1, 2)
coarse = coarse[log_density(coarse) > levels[0]]
for colour, width, arrows in (("#b4b8bf", 0.011, true_gradient(coarse)), (MODEL, 0.005, density.gradient(coarse))):
    short = arrows / (1 + np.linalg.norm(arrows, axis=1, keepdims=True))
    style = {"angles": "xy", "scale_units": "xy", "scale": 2.8, "width": width}
    panels[2].quiver(*coarse.T, *short.T, color=colour, **style)
panels[2].set_title("Gradient: true, learned", size=10)
for axes in panels:
    axes.set(xlim=(0, 4.8), ylim=(0, 4.8), xticks=[], yticks=[], aspect="equal")

# %%
# Which is closest?
# -----------------
# The mean log density of points that no estimator has seen falls short of the truth's by the Kullback-Leibler
# divergence from the truth to the estimate, in nats a point.

truth = log_density(X_test)
divergence = {name: np.mean(truth - model.score_samples(X_test)) for name, model in models.items()}
for name, value in divergence.items():
    print(f"{name:<17}{value:.4f} nats a point from the truth")

exact = true_gradient(X_test[:2000])
error = np.mean(np.sum((density.gradient(X_test[:2000]) - exact) ** 2, axis=1)) / np.mean(np.sum(exact**2, axis=1))
cell = (x[0, 1] - x[0, 0]) * (y[1, 0] - y[0, 0])
mass = cell * np.exp(surfaces["Brenier map"]).sum()
print(f"gradient: {100 * error:.1f} % of the square is wrong; mass on the grid: {mass:.4f}")

assert divergence["Brenier map"] < 0.7 * min(divergence["Kernel estimate"], divergence["Gaussian mixture"])
assert error < 0.3
assert abs(mass - cell * np.exp(surfaces["Truth"]).sum()) < 0.02

plt.show()
