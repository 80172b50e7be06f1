"""
Colour transfer between two photographs
=======================================

The pixels of a photograph are a cloud of points in the cube of red, green and blue. One optimal-transport map moves
the palette of one photograph onto that of another, there and back, and every step of the way is a picture, too.
"""

# %%
# Two palettes
# ------------
# scikit-learn comes with a Chinese temple and a flower. Noise of one level undoes the rounding to 8 bits, which makes
# most pixels repeat others. The map learns from 12,000 pixels of each, and is judged by 8,000 others.

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle
from ot.gaussian import empirical_bures_wasserstein_mapping
from sklearn.datasets import load_sample_images

from brenier import BrenierMap
from brenier.demo.paint import smooth_part
from brenier.files import to_colours, to_image
from brenier.metrics import sliced_w2

STEPS = 1024
SEEN, UNSEEN = 12_000, 8_000

plt.rcParams.update({"figure.dpi": 120, "figure.constrained_layout.use": True, "font.size": 10})

china, flower = load_sample_images().images
rng = np.random.default_rng(0)


def draw_pixels(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels to learn from, and others to judge by."""
    colours = rng.permutation(to_colours(image))[: SEEN + UNSEEN]
    colours += rng.uniform(-0.5 / 255, 0.5 / 255, colours.shape)
    return colours[:SEEN], colours[SEEN:]


X, X_test = draw_pixels(china)
Y, Y_test = draw_pixels(flower)
transport = BrenierMap(max_steps=STEPS, refit=False, random_state=0).fit(X, Y)

# %%
# Before and after
# ----------------
# A map that spreads a pale sky over a whole gamut would spread the noise of the JPEG file as well. So the smooth part
# of the photograph is moved, and its texture, a level or so, rides along. The linear map for comparison is the optimal
# one between two normal distributions, from POT. It matches means and covariances, and no more.

smooth = smooth_part(china)
texture = to_colours(china) - smooth
matrix, shift = empirical_bures_wasserstein_mapping(X, Y)


def repaint(colours: np.ndarray) -> np.ndarray:
    """The photograph with its smooth part in other colours."""
    return to_image(colours + texture, china.shape)[0]


moved = repaint(transport.transform(smooth))
pictures = {
    "Source": china,
    "Target palette": flower,
    "Moved by the linear map": repaint(smooth @ matrix + shift),
    "Moved by the optimal map": moved,
}

figure, panels = plt.subplots(2, 2, figsize=(8, 5.7))
for axes, (title, picture) in zip(panels.flat, pictures.items(), strict=True):
    axes.imshow(picture)
    axes.set_title(title, loc="left", size=10)
    axes.set_axis_off()

# %%
# The clouds
# ----------
# Each dot is a held-out pixel in its own colour: red to the right, blue upwards, seen along green. The square holds all
# colours there are; a linear map leaves it, and its photograph is clipped. The image of the source should fill the same
# places as the target, as densely.

clouds = {
    "Source": X_test,
    "Linear map": X_test @ matrix + shift,
    "Optimal map": transport.transform(X_test),
    "Target": Y_test,
}

figure, panels = plt.subplots(1, 4, figsize=(8, 2.0), sharex=True, sharey=True)
for axes, (title, cloud) in zip(panels, clouds.items(), strict=True):
    axes.add_patch(Rectangle((0, 0), 1, 1, facecolor="#f4f5f6", edgecolor="#c9ccd1", linewidth=0.8))
    axes.scatter(cloud[:, 0], cloud[:, 2], c=np.clip(cloud, 0, 1), s=1.5, linewidths=0)
    axes.set(xlim=(-0.42, 1.05), ylim=(-0.24, 1.2), aspect="equal")
    axes.text(0.5, 1.06, title, ha="center", size=10)
    axes.set_axis_off()

# %%
# The way between
# ---------------
# Displacement interpolation moves every colour on a straight line to its image. In the middle lies the palette that is
# nearest to both, which a cross-fade between two photographs does not give.

shares = (0.0, 0.25, 0.5, 0.75, 1.0)
figure, panels = plt.subplots(1, len(shares), figsize=(8, 1.35))
for axes, share in zip(panels, shares, strict=True):
    axes.imshow(repaint(transport.interpolate(smooth, share)))
    axes.set_title(f"$t$ = {share:g}", size=9)
    axes.set_axis_off()

# %%
# Is it the palette?
# ------------------
# Sliced W2 compares two clouds by their projections onto 256 lines. Here it is measured between held-out pixels. The
# last row is how far two samples of the target are apart: no map can be seen to be closer than that.

distances = {name: sliced_w2(cloud, Y_test) for name, cloud in clouds.items() if name != "Target"}
distances["Target, other pixels"] = sliced_w2(Y[:UNSEEN], Y_test)
for name, distance in distances.items():
    print(f"{name:<24}{distance:.4f}")

# %%
# The inverse solves one convex problem a pixel, and says how well. It brings the held-out colours home.

home = transport.inverse_transform(clouds["Optimal map"], return_status=True)
print(f"solved: {100 * home.converged.mean():.2f} %, error of the way back: {np.abs(home.points - X_test).max():.1e}")

assert distances["Optimal map"] < 0.5 * distances["Linear map"]
assert home.converged.all()
assert np.abs(home.points - X_test).max() < 1 / 255

plt.show()
