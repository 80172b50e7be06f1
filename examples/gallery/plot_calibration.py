"""
Calibrating a simulated detector
================================

A simulation of showers in a calorimeter differs from what is measured, and its events carry weights. The optimal map
moves every simulated event to where the detector would have put it, and here the true response is known.
"""

# %%
# Simulation and measurement
# --------------------------
# Energy, width, depth and time of a shower are correlated. The generator throws events flat in the logarithm of the
# energy, and weights turn them into the falling spectrum of nature. The real detector answers differently: it
# saturates, drowns small widths in noise, and a late shower leaks, which shifts everything at once.

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgb
from scipy.ndimage import gaussian_filter

from brenier import BrenierMap
from brenier.metrics import sliced_w2, unexplained_variance

# sphinx_gallery_thumbnail_number = 2
STEPS = 1024
SEEN, UNSEEN = 10_000, 6_000
SIMULATED, MEASURED, CALIBRATED = "#35608f", "#d9822b", "#a23b72"

plt.rcParams.update(
    {
        "figure.dpi": 120,
        "figure.constrained_layout.use": True,
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
)

rng = np.random.default_rng(0)
NAMES = ("log energy", "width, cm", "depth, cm", "time, ns")
UNITS = np.array([0.5, 0.8, 4.0, 1.2])  # resolutions: what counts as one unit of each in the cost
CENTRES = np.array([3.5, 3.0, 20.0, 8.0])
LEAK = np.array([-0.5, 0.3, 0.4, 0.5])


def showers(log_energy: np.ndarray) -> np.ndarray:
    """Simulated events of given energies: widths and times are skewed, depths grow with the energy."""
    count, scale = len(log_energy), log_energy - 3.5
    depth = 20.0 + 3.0 * scale + 3.5 * rng.normal(size=count)
    width = 2.2 + 0.06 * (depth - 20.0) + rng.gamma(3.0, 0.3, count)
    time = 7.0 + 0.12 * (depth - 20.0) + rng.gamma(2.0, 0.6, count)
    return np.column_stack([log_energy + 0.15 * rng.normal(size=count), width, depth, time])


def detector(events: np.ndarray) -> np.ndarray:
    """Where the real detector puts an event.

    In the units of the cost, increasing functions of one variable each plus one of a sum of them, along its own
    direction: the gradient of a convex function, so this is the optimal map between any distribution and its image.
    """
    z = (events - CENTRES) / UNITS
    own = np.column_stack(
        [
            np.arcsinh(1.2 * z[:, 0]),  # saturates
            0.5 * z[:, 1] + 0.8 * np.logaddexp(0, 2 * z[:, 1]) / 2,  # small widths drown
            z[:, 2] + 0.3 * np.sin(2 * z[:, 2]),  # layers
            1.2 * z[:, 3] + 0.3,
        ]
    )
    leak = 1.6 / (1 + np.exp(-3 * (z @ LEAK - 0.4)))
    return CENTRES + UNITS * (own + leak[:, None] * LEAK)


def simulate(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Events flat in the logarithm of the energy, and the weights of the spectrum."""
    log_energy = rng.uniform(2.0, 5.5, count)
    return showers(log_energy), np.exp(-0.8 * (log_energy - 2.0))


def measure(count: int) -> np.ndarray:
    """Events of the falling spectrum itself, as the detector saw them."""
    level = rng.uniform(size=count)
    return detector(showers(2.0 - np.log1p(-level * (1 - np.exp(-0.8 * 3.5))) / 0.8))


(X, weight), (X_test, weight_test) = simulate(SEEN), simulate(UNSEEN)
Y, Y_test = measure(SEEN), measure(UNSEEN)
transport = BrenierMap(scale=UNITS, max_steps=STEPS, refit=False, random_state=0).fit(X, Y, x_weight=weight)
calibrated = transport.transform(X_test)

# %%
# Closure
# -------
# Events that the fit has not seen, with their weights. Above, the four variables; the band is the measurement.

figure, panels = plt.subplots(1, 4, figsize=(8, 2.5))
for column, (axes, name) in enumerate(zip(panels, NAMES, strict=True)):
    bins = np.linspace(*np.quantile(np.r_[X_test[:, column], Y_test[:, column]], [0.002, 0.998]), 40)
    axes.hist(Y_test[:, column], bins, density=True, color=MEASURED, alpha=0.35, label="measured")
    for points, colour, label in ((X_test, SIMULATED, "simulated"), (calibrated, CALIBRATED, "calibrated")):
        style = {"histtype": "step", "color": colour, "linewidth": 1.3, "label": label}
        axes.hist(points[:, column], bins, density=True, weights=weight_test, **style)
    axes.set(xlabel=name, yticks=[])
    axes.spines["left"].set_visible(False)
figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)

# %%
# Marginals could be matched one by one. What the variables have to do with each other could not. The lines are regions
# that hold 20, 50 and 80 % of the events: dashed before, solid after, filled for the measurement.


def regions(axes: plt.Axes, points: np.ndarray, weights: np.ndarray | None, **style: object) -> None:
    """Smallest regions that hold given shares of the events, from a smoothed histogram."""
    window = [np.quantile(np.r_[X_test, Y_test][:, column], [0.001, 0.985]) for column in pair]
    heights, *edges = np.histogram2d(*points[:, pair].T, bins=60, range=window, weights=weights)
    heights = gaussian_filter(heights, 2.5)
    order = np.sort(heights.ravel())[::-1]
    levels = [order[np.searchsorted(np.cumsum(order), share * order.sum())] for share in (0.8, 0.5, 0.2)]
    middles = [(edge[1:] + edge[:-1]) / 2 for edge in edges]
    if style.pop("filled", False):
        axes.contourf(*middles, heights.T, levels=[*levels, order[0]], **style)
    else:
        axes.contour(*middles, heights.T, levels=levels, **style)


figure, panels = plt.subplots(1, 3, figsize=(8, 2.7))
for axes, pair in zip(panels, ([0, 2], [2, 3], [1, 3]), strict=True):
    regions(axes, Y_test, None, filled=True, colors=[(*to_rgb(MEASURED), alpha) for alpha in (0.15, 0.35, 0.6)])
    regions(axes, X_test, weight_test, colors=SIMULATED, linewidths=1.0, linestyles="dashed")
    regions(axes, calibrated, weight_test, colors=CALIBRATED, linewidths=1.3)
    axes.set(xlabel=NAMES[pair[0]], ylabel=NAMES[pair[1]])

# %%
# Event by event
# --------------
# The true response is known here, so calibrated events can be held against what the detector does to them: errors in
# units of the cost, with the best linear calibration in grey. A linear map bends the wrong way wherever the detector
# bends.

truth = detector(X_test)
affine = transport.map_.geometry
linear = affine.leave_y(affine.enter_x(X_test))
figure, panels = plt.subplots(1, 4, figsize=(8, 2.4), sharey=True)
for column, (axes, name) in enumerate(zip(panels, NAMES, strict=True)):
    for points, colour, label in ((linear, "#b4b8bf", "linear"), (calibrated, CALIBRATED, "optimal")):
        error = (points - truth)[:, column] / UNITS[column]
        style = {"s": 8 * weight_test / weight_test.max(), "linewidths": 0, "label": label}
        axes.scatter(truth[:, column], error, c=colour, **style)
    axes.axhline(0, color="#3a3d42", linewidth=0.6)
    axes.set(xlabel=name, xlim=np.quantile(truth[:, column], [0.001, 0.999]), ylim=(-1.3, 1.3))
panels[0].set_ylabel("error")

# %%
# What is certain
# ---------------
# As the response is the gradient of a convex function, its mean squared displacement *is* the squared W2 distance
# between simulation and measurement, in units of `UNITS`. The lower bound on the populations holds with 95 % confidence
# and has to lie below it. Half of the held-out events will do here.

half = UNSEEN // 2
distance = transport.distance(X_test[:half], Y_test[:half], x_weight=weight_test[:half])
print(distance)
displacement = np.sum(((truth - X_test) / UNITS) ** 2, axis=1)
exact = np.sqrt(np.average(displacement, weights=weight_test))
print(f"True response     {exact:.5g}")

# %%
# And how much better than a linear calibration it is: the share of the variance that is wrong event by event, the
# distance of the distributions, and the largest error of a correlation.

versions = {
    "Simulated": X_test,
    "Linear calibration": linear,
    "Optimal map": calibrated,
    "True response": truth,
}


def correlations(points: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Of the four variables with each other."""
    covariance = np.cov(points.T, aweights=weights)
    spread = np.sqrt(np.diag(covariance))
    return covariance / np.outer(spread, spread)


error, apart = {}, {}
for name, points in versions.items():
    error[name] = unexplained_variance(points / UNITS, truth / UNITS, weight=weight_test)
    apart[name] = sliced_w2(points, Y_test, scale=UNITS, projections=64, x_weight=weight_test)
    gap = np.abs(correlations(points, weight_test) - correlations(Y_test)).max()
    print(f"{name:<20}wrong: {error[name]:5.2f} %   sliced W2: {apart[name]:.4f}   correlations: {gap:.3f}")

assert error["Optimal map"] < 0.3 * error["Linear calibration"]
assert apart["Optimal map"] < 0.5 * apart["Linear calibration"]
assert distance.population_lower < exact
assert abs(distance.w2 - exact) < 0.05 * exact

plt.show()
