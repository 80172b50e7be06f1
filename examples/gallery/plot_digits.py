"""
Even digits become odd ones
===========================

Which odd digit is a 4 closest to? Optimal transport between the images of even and of odd digits finds out without
labels, moves images it has not seen, and shows the way, with a classifier and an exact solver to judge by.
"""

# %%
# Images as points
# ----------------
# scikit-learn's digits have 8 by 8 pixels. Twelve principal components keep most of what they look like, and an image
# can be drawn from them again. The map learns from three quarters of the images, even and odd, without their labels.

import matplotlib.pyplot as plt
import numpy as np
import ot
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from brenier import BrenierMap
from brenier.metrics import mmd_squared

STEPS = 1024
INK = "#3a3d42"

plt.rcParams.update({"figure.dpi": 120, "figure.constrained_layout.use": True, "font.size": 10})

images, digits = load_digits(return_X_y=True)
pca = PCA(12, random_state=0)
codes = pca.fit_transform(images)
even = digits % 2 == 0
split = {"test_size": 0.25, "random_state": 0}
X, X_test, x_digits, x_test_digits = train_test_split(codes[even], digits[even], **split)
Y, Y_test, y_digits, y_test_digits = train_test_split(codes[~even], digits[~even], **split)

transport = BrenierMap(max_steps=STEPS, random_state=0).fit(X, Y)
moved = transport.transform(X_test)

# %%
# The way
# -------
# Two held-out images of each even digit, in quarters of the way, and the odd digit that is nearest to where they
# arrive. Strokes fade out and in: the cost compares pixels, so mass does not slide across the page. And OT knows no
# classes: it moves each image the least way that makes all of them odd, so two 8s may well part.

nearest = NearestNeighbors(n_neighbors=1).fit(Y)
rows = np.concatenate([np.flatnonzero(x_test_digits == digit)[:2] for digit in (0, 2, 4, 6, 8)])
shares = (0.0, 0.25, 0.5, 0.75, 1.0)
strips = [transport.interpolate(X_test[rows], share) for share in shares]
strips.append(Y[nearest.kneighbors(moved[rows], return_distance=False)[:, 0]])
titles = [f"$t$ = {share:g}" for share in shares] + ["nearest"]

figure, panels = plt.subplots(5, 13, figsize=(8, 3.5), width_ratios=[1] * 6 + [0.5] + [1] * 6)
for axes in panels.flat:
    axes.set_axis_off()
for place in range(len(rows)):
    row, first = place // 2, 7 * (place % 2)
    for column, (strip, title) in enumerate(zip(strips, titles, strict=True)):
        axes = panels[row, first + column]
        axes.imshow(pca.inverse_transform(strip[[place]]).reshape(8, 8), cmap="gray_r", vmin=0, vmax=16)
        if row == 0:
            axes.set_title(title, size=8)

# %%
# What becomes of what
# --------------------
# A nearest-neighbour classifier, trained on odd images, reads the images at the end of the way. Beside it are the
# shares in POT's exact coupling of the training images, which is a table and moves no other image.

reader = KNeighborsClassifier(3).fit(Y, y_digits)
read = reader.predict(moved)
coupling = ot.emd([], [], ot.dist(X, Y), numItermax=1_000_000)
evens, odds = np.arange(0, 10, 2), np.arange(1, 10, 2)
learned = np.array([[np.mean(read[x_test_digits == a] == b) for b in odds] for a in evens])
exact = np.array([[coupling[np.ix_(x_digits == a, y_digits == b)].sum() for b in odds] for a in evens])
exact /= exact.sum(axis=1, keepdims=True)

figure, panels = plt.subplots(1, 2, figsize=(6.4, 3.1), sharey=True)
for axes, table, title in zip(panels, (learned, exact), ("Learned map, new images", "Exact coupling"), strict=True):
    axes.imshow(table, cmap="Purples", vmin=0, vmax=1.6)
    for (i, j), share in np.ndenumerate(table):
        axes.text(j, i, f"{100 * share:.0f}", ha="center", va="center", color=INK, size=9)
    axes.set(title=title, xticks=range(5), xticklabels=odds, yticks=range(5), yticklabels=evens, xlabel="becomes, %")
    axes.title.set_size(10)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
panels[0].set_ylabel("even digit")

# %%
# Are they digits?
# ----------------
# If moved images were just like odd ones, they would be as near to their nearest odd neighbour as held-out odd images,
# and as a cloud they would differ from those by chance only. The linear map, which sends one normal distribution to
# the other, leaves many of them between the classes.

affine = transport.map_.geometry
clouds = {
    "Even images": X_test,
    "Linear map": affine.leave_y(affine.enter_x(X_test)),
    "Optimal map": moved,
    "Odd images": Y_test,
}
away, discrepancy = {}, {}
for name, cloud in clouds.items():
    away[name] = nearest.kneighbors(cloud)[0].mean()
    discrepancy[name] = mmd_squared(cloud, Y, width=15.0)
    print(f"{name:<14}to nearest odd image: {away[name]:5.2f}   MMD^2: {discrepancy[name]:.4f}")

# %%
# What is left of the gap to the last row is what 670 images a side cannot teach a map in twelve dimensions.
#
# The way back solves one convex problem an image, also for odd images that the fit has not seen: they become even.

back = transport.inverse_transform(Y_test, return_status=True)
again = transport.transform(back.points)
table_gap = np.abs(learned - exact).sum(axis=1).mean() / 2
evens_near = NearestNeighbors(n_neighbors=1).fit(X)
at_first, home = (evens_near.kneighbors(cloud)[0].mean() for cloud in (Y_test, back.points))
print(f"There and back: {np.abs(again - Y_test).max():.1e}, in units of which a pixel has 16")
print(f"To the nearest even image: {home:.2f} after the way back, {at_first:.2f} before")
print(f"The two tables differ in {100 * table_gap:.0f} % of the images")

excess = {name: value - discrepancy["Odd images"] for name, value in discrepancy.items()}
assert excess["Optimal map"] < 0.5 * excess["Linear map"]
assert away["Optimal map"] < 0.9 * away["Linear map"]
assert table_gap < 0.2
assert back.converged.all()
assert np.abs(again - Y_test).max() < 1e-2

plt.show()
