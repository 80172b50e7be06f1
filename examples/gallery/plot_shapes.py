"""
A disc becomes a letter
=======================

Points in a disc are moved to points in a letter, and back, by the gradient of one convex function. The distance between
the two comes with an interval that encloses it, beside the exact solver of POT on the same points.
"""

# %%
# Two shapes
# ----------
# Both are samples of uniform distributions: 10,000 points of each to learn from, and 1,500 others to judge by. The rows
# of the one know nothing of the rows of the other.

import matplotlib.pyplot as plt
import numpy as np
import ot
from matplotlib.collections import LineCollection
from matplotlib.colors import hsv_to_rgb
from matplotlib.patches import Circle, PathPatch
from matplotlib.path import Path
from matplotlib.textpath import TextPath

from brenier import BrenierMap, Training
from brenier.metrics import unexplained_variance

# sphinx_gallery_thumbnail_number = 2
STEPS = 3072
SEEN, UNSEEN = 10_000, 1500
GREY = "#e4e6ea"

plt.rcParams.update({"figure.dpi": 120, "figure.constrained_layout.use": True, "font.size": 10})

rng = np.random.default_rng(0)
outlines = [Path(0.024 * (line - (36, 36.5))) for line in TextPath((0, 0), "B", size=100).to_polygons()]


def inside(points: np.ndarray) -> np.ndarray:
    """Whether points lie in the letter: within an odd number of its outlines."""
    return np.logical_xor.reduce([line.contains_points(points) for line in outlines])


def in_letter(count: int) -> np.ndarray:
    """Uniform points of the letter."""
    drawn = rng.uniform(-1.2, 1.2, (8 * count, 2))
    return drawn[inside(drawn)][:count]


def in_disc(count: int) -> np.ndarray:
    """Uniform points of the disc."""
    radius, angle = np.sqrt(rng.uniform(size=count)), rng.uniform(0, 2 * np.pi, count)
    return radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])


X, X_test, Y, Y_test = in_disc(SEEN), in_disc(UNSEEN), in_letter(SEEN), in_letter(UNSEEN)
transport = BrenierMap(max_steps=STEPS, training=Training(learning_rate=0.03), refit=False, random_state=0).fit(X, Y)
image = transport.transform(X_test)

# %%
# The way
# -------
# Displacement interpolation, from left to right. Colour is the place in the disc that a point comes from: nothing
# crosses, and what was on the left stays on the left. The letter has holes and the disc has none, so the exact map
# tears. The gradient of a smooth function cannot, it stretches instead, and leaves a few points in the holes.


def colours(points: np.ndarray) -> np.ndarray:
    """Hue is the angle, and the middle is pale."""
    angle, radius = np.arctan2(points[:, 1], points[:, 0]), np.linalg.norm(points, axis=1)
    hue, value = (angle / (2 * np.pi)) % 1, np.full(len(points), 0.78)
    return hsv_to_rgb(np.column_stack([hue, 0.2 + 0.45 * np.clip(radius, 0, 1), value]))


def clear(axes: plt.Axes) -> None:
    """Equal units, and no frame."""
    axes.set_aspect("equal")
    axes.set_axis_off()


dense = in_disc(6000)
figure, axes = plt.subplots(figsize=(8, 1.75))
for share in (0.0, 0.25, 0.5, 0.75, 1.0):
    moved = transport.interpolate(dense, share) + np.array([9.4 * share, 0])
    axes.scatter(*moved.T, s=1.5, c=colours(dense), linewidths=0)
    axes.text(9.4 * share, -1.15, f"$t$ = {share:g}", ha="center", va="top", size=9)
clear(axes)

# %%
# Arrows, a grid, and the way back
# --------------------------------
# Left: where single points go; the target is grey. Middle: the images of circles and rays, torn where the holes are.
# Right: the inverse brings held-out points of the letter back into the disc.

figure, panels = plt.subplots(1, 3, figsize=(8, 2.9), layout="compressed")
few = slice(0, 100)
panels[0].add_patch(PathPatch(Path.make_compound_path(*outlines), color=GREY, linewidth=0))
panels[0].quiver(
    *X_test[few].T,
    *(image - X_test)[few].T,
    color=colours(X_test[few]),
    **{"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.007, "headwidth": 3.5, "headlength": 4},
)
panels[0].set_title("The map", size=10)

turn, radii = np.linspace(0, 2 * np.pi, 400), np.linspace(0, 1, 200)
circles = [r * np.column_stack([np.cos(turn), np.sin(turn)]) for r in np.linspace(0.125, 1, 8)]
rays = [radii[:, None] * (np.cos(angle), np.sin(angle)) for angle in turn[:-1:16]]
for line in circles + rays:
    moved = transport.transform(line)
    pieces = np.stack([moved[:-1], moved[1:]], axis=1)
    panels[1].add_collection(LineCollection(list(pieces), colors=colours(line[:-1]), linewidths=0.7))
panels[1].autoscale_view()
panels[1].set_title("Circles and rays, moved", size=10)

home = transport.inverse_transform(Y_test, return_error=True)
panels[2].add_patch(Circle((0, 0), 1, color=GREY, linewidth=0))
panels[2].scatter(*home.points.T, s=4, c=colours(home.points), linewidths=0)
panels[2].set_title("The letter, moved back", size=10)
for axes in panels:
    clear(axes)
    axes.set(xlim=(-1.15, 1.15), ylim=(-1.15, 1.15))

# %%
# How far apart?
# --------------
# The printed answer estimates W2 of the two distributions, bounds it from below, and encloses that of the samples.
# POT's network simplex solves the assignment of the same 1,500 points a side: its optimum must lie in the interval.

distance = transport.distance(X_test, Y_test)
print(distance)

costs = ot.dist(X_test, Y_test)  # squared Euclidean
exact = np.sqrt(ot.emd2([], [], costs))
print(f"POT, exact        {exact:.7g}")
assert distance.lower * (1 - 1e-6) <= exact <= distance.upper * (1 + 1e-6)
assert distance.upper - distance.lower < 1e-3

# %%
# The exact assignment is also a map, for these points only. The learned one has to agree with it as well as the
# distance between neighbouring points allows, and to put the points in the letter.

partner = Y_test[ot.emd([], [], costs).argmax(axis=1)]
affine = transport.map_.geometry
linear = affine.leave_y(affine.enter_x(X_test))
for name, points in {"Identity": X_test, "Linear map": linear, "Optimal map": image}.items():
    error = unexplained_variance(points, partner)
    print(f"{name:<14}in the letter: {100 * inside(points).mean():3.0f} %   beside the assignment: {error:5.2f} %")

assert unexplained_variance(image, partner) < 0.3 * unexplained_variance(linear, partner)
assert inside(image).mean() > 0.85
assert home.converged.all()
assert np.abs(transport.transform(home.points) - Y_test).max() < 1e-3

plt.show()
