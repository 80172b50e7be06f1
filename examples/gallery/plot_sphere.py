"""
Storms across the date line
===========================

On a globe, what is far apart on a map with straight meridians may be close. With the squared great-circle distance for
its cost, the optimal map moves points along great circles, and knows nothing of the date line.
"""

# %%
# Two halves of a season
# ----------------------
# Made data, after the paths of tropical storms in the Pacific: mixtures of round clouds on the sphere. Early, most
# storms are west of the date line, at low latitudes; late, they are farther from the equator, and many are east of it.
# Places are unit vectors.

import matplotlib.pyplot as plt
import numpy as np
import ot
from matplotlib.collections import LineCollection
from matplotlib.colors import hsv_to_rgb

from brenier import BrenierMap
from brenier.costs import GreatCircle, to_degrees, to_vectors

# sphinx_gallery_thumbnail_number = 2
STEPS = 1024
SEEN, UNSEEN = 8000, 1200
EARLY, LATE, MOVED, GREY = "#35608f", "#d9822b", "#a23b72", "#dfe2e7"

plt.rcParams.update({"figure.dpi": 120, "figure.constrained_layout.use": True, "font.size": 10})

rng = np.random.default_rng(0)

# Share, latitude, longitude, and width in degrees of each cloud.
BEFORE = [(0.40, 11, 150, 10), (0.25, 9, 178, 8), (0.15, 12, -120, 8), (0.20, -10, 172, 9)]
AFTER = [(0.25, 25, 140, 9), (0.35, 24, -168, 11), (0.20, 22, -128, 8), (0.20, -22, -172, 9)]


def storms(clouds: list[tuple[float, float, float, float]], count: int) -> np.ndarray:
    """Points of a mixture: normal around each centre, in all three directions, and put onto the sphere."""
    shares, *places = np.array(clouds).T
    latitude, longitude, width = np.array(places)[:, rng.choice(len(shares), count, p=shares)]
    points = to_vectors(latitude, longitude) + np.radians(width)[:, None] * rng.normal(size=(count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


X, X_test, Y, Y_test = (storms(clouds, n) for clouds in (BEFORE, AFTER) for n in (SEEN, UNSEEN))
transport = BrenierMap(cost=GreatCircle(), max_steps=STEPS, refit=False, random_state=0).fit(X, Y)
image = transport.transform(X_test)

# %%
# The way
# -------
# Every line is the great circle from a point that the fit has not seen to its image. Dashed is the date line, where
# most tables of longitudes jump from 180 to -180.


def on_paper(points: np.ndarray) -> np.ndarray:
    """Degrees east, from 0 to 360, and north."""
    latitude, longitude = to_degrees(points)
    return np.column_stack([longitude % 360, latitude])


few = slice(0, 220)
ways = np.stack([on_paper(transport.interpolate(X_test[few], t)) for t in np.linspace(0, 1, 17)], axis=1)
figure, axes = plt.subplots(figsize=(8, 3.5))
axes.add_collection(LineCollection(list(ways), colors=MOVED, linewidths=0.6, alpha=0.55))
for points, colour, label in ((X_test, EARLY, "early"), (Y_test, LATE, "late"), (image, MOVED, "early, moved")):
    axes.scatter(*on_paper(points[few]).T, s=6, color=colour, linewidths=0, label=label, zorder=2)
axes.axvline(180, color="#3a3d42", linewidth=0.6, linestyle="dashed")
axes.set(xlim=(105, 270), ylim=(-50, 50), xlabel="degrees east", ylabel="degrees north", aspect="equal")
axes.legend(loc="lower right", frameon=False, markerscale=2)

# %%
# The same on the globe, seen from above the middle of the Pacific. Colour is the place that a point comes from.

EAST, NORTH, UP = (to_vectors([latitude], [longitude])[0] for latitude, longitude in ((0, 275), (82, 185), (8, 185)))


def draw(axes: plt.Axes, line: np.ndarray) -> None:
    """The visible part of a line of the grid."""
    seen = np.where((line @ UP > 0)[:, None], line, np.nan)
    axes.plot(seen @ EAST, seen @ NORTH, color=GREY, linewidth=0.7, zorder=0)


turn, half = np.linspace(-180, 180, 361), np.linspace(-90, 90, 181)
hue = (on_paper(X_test)[:, 0] - 110) / 170 % 1
colours = hsv_to_rgb(np.column_stack([hue, np.full(UNSEEN, 0.65), np.full(UNSEEN, 0.78)]))
figure, panels = plt.subplots(1, 3, figsize=(8, 2.9), layout="compressed")
for axes, share, title in zip(panels, (0.0, 0.5, 1.0), ("early", "half way", "late"), strict=True):
    for latitude in range(-75, 90, 15):
        draw(axes, to_vectors(np.full(361, latitude), turn))
    for longitude in range(-180, 180, 15):
        draw(axes, to_vectors(half, np.full(181, longitude)))
    points = transport.interpolate(X_test, share)
    seen = points @ UP > 0
    axes.scatter(points[seen] @ EAST, points[seen] @ NORTH, s=4, color=colours[seen], linewidths=0)
    axes.add_patch(plt.Circle((0, 0), 1, fill=False, color="#9aa0a6", linewidth=0.8))
    axes.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), aspect="equal", title=title)
    axes.set_axis_off()

# %%
# What it costs
# -------------
# POT's network simplex finds the cheapest pairs of the same 1,200 points a side. The learned map moves points that it
# has not seen at about the same cost. Cheapest pairs by distances on paper, in degrees, never cross the edge at 180: on
# the globe they cost several times as much.


def costs(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Half the squared angles, of every pair."""
    return np.arccos(np.clip(x @ y.T, -1, 1)) ** 2 / 2


kilometres = 6371.0
exact = ot.emd2([], [], costs(X_test, Y_test))
own = np.mean(np.diag(costs(X_test, image)))
paper = ot.dist(*(np.column_stack(to_degrees(points)) for points in (X_test, Y_test)))
partner = ot.emd([], [], paper).argmax(axis=1)
flat = np.mean(np.diag(costs(X_test, Y_test[partner])))
for name, cost in {"POT, on the globe": exact, "Learned map": own, "POT, on paper": flat}.items():
    print(f"{name:<20}{cost:.4f}   root mean square {kilometres * np.sqrt(2 * cost):5.0f} km")

# Two clouds of one distribution differ, too: the second line is what no map can beat.
apart = {"Image to target": (image, Y_test), "Target to target": (storms(AFTER, UNSEEN), Y_test)}
apart |= {"Source to target": (X_test, Y_test)}
missed = {name: kilometres * np.sqrt(2 * ot.emd2([], [], costs(*pair))) for name, pair in apart.items()}
print("\n".join(f"{name:<20}W2 {value:5.0f} km" for name, value in missed.items()))

home = transport.inverse_transform(Y_test, return_status=True)
assert abs(own / exact - 1) < 0.05
assert flat > 4 * exact
assert missed["Image to target"] < 1.5 * missed["Target to target"]
assert home.converged.mean() > 0.99
assert np.abs(transport.transform(home.points[home.converged]) - Y_test[home.converged]).max() < 1e-3

plt.show()
