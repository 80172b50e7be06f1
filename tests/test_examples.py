"""The examples of conditional maps: what they draw and print, and that what they print is true."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images
from typer.testing import CliRunner

from asserts import assert_at_most, assert_close, assert_gradient
from brenier import BrenierMap

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
NAMES = {"sweep": "condition_sweep", "colours": "colour_conditions"}
QUICK = {"sweep": ("--max-steps", 128, "--points", 2000), "colours": ("--max-steps", 128, "--every", 4)}
FILES = {"sweep": "condition-sweep.png", "colours": "colour-conditions.png"}


@pytest.fixture(scope="module")
def examples() -> Iterator[SimpleNamespace]:
    """The two modules, whose folder is on the path for as long as the tests of this file run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
        yield SimpleNamespace(**{name: importlib.import_module(module) for name, module in NAMES.items()})


class Recorded(BrenierMap):
    """Keeps every fit and what it was given."""

    fits: list[tuple["Recorded", tuple, dict]]

    _fit = BrenierMap.fit

    def fit(self, *points, **conditions):
        self.fits.append((self, points, conditions))
        # Samples as small as those of the tests would be fitted twice, those of the examples are not.
        return self.set_params(refit=False)._fit(*points, **conditions)


def run(module, *words, code=0):
    done = CliRunner().invoke(module.app, [str(word) for word in words])
    assert done.exit_code == code, done.output
    return done


def ran(module, name, folder):
    """One quick run: the fits, the rows of the table by their first column, and the picture."""
    fits = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recorded, "fits", fits, raising=False)
        patch.setattr(module, "BrenierMap", Recorded)
        done = run(module, "--output", folder / "new" / "folder", "--seed", 3, *QUICK[name])
    path = folder / "new" / "folder" / FILES[name]
    assert list(path.parent.iterdir()) == [path]
    assert done.stderr.splitlines()[-1] == f"wrote {path}"
    with Image.open(path) as image:
        assert image.format == "PNG"
        picture = np.asarray(image.convert("RGB"))
    head, *rows = done.stdout.splitlines()
    # Names of rows and columns have single spaces in them, and two or more after them.
    split = [[cell.strip() for cell in row.split("  ") if cell.strip()] for row in rows]
    return SimpleNamespace(
        fits=fits,
        columns=[cell.strip() for cell in head.split("  ") if cell.strip()],
        rows={first: [float(cell) for cell in others] for first, *others in split},
        picture=picture,
    )


@pytest.fixture(scope="module")
def sweep(examples, tmp_path_factory):
    return ran(examples.sweep, "sweep", tmp_path_factory.mktemp("sweep"))


@pytest.fixture(scope="module")
def colours(examples, tmp_path_factory):
    return ran(examples.colours, "colours", tmp_path_factory.mktemp("colours"))


def distance(x, y):
    """Sliced W2 by quantiles along 64 directions, evenly spread over circle or sphere."""
    steps = (np.arange(64) + 0.5) / 64
    if x.shape[1] == 2:
        directions = np.stack([np.cos(np.pi * steps), np.sin(np.pi * steps)])
    else:
        heights, turns = 2 * steps - 1, 64 * np.pi * (3 - np.sqrt(5)) * steps  # a spiral by the golden angle
        wide = np.sqrt(1 - heights**2)
        directions = np.stack([wide * np.cos(turns), wide * np.sin(turns), heights])
    levels = (np.arange(1000) + 0.5) / 1000
    x, y = (np.quantile(cloud @ directions, levels, axis=0) for cloud in (x, y))
    return np.sqrt(np.mean((x - y) ** 2))


def inked(picture, boxes):
    """Shares of pixels that are not white in boxes `(left, top, right, bottom)`, in shares of the picture."""
    tall, wide = picture.shape[:2]
    cut = [picture[int(b * tall) : int(d * tall), int(a * wide) : int(c * wide)] for a, b, c, d in boxes]
    return np.array([np.mean((part < 250).any(axis=2)) for part in cut])


class TestSweep:
    @pytest.mark.parametrize("c", [0.0, 0.4, 1.0])
    def test_exact_map_is_the_gradient_of_a_convex_function(self, c, examples, rng):
        angle = 2 * np.pi * np.arange(96) / 96
        curve = (1.3 + 0.78 * c * np.cos(3 * angle)) * np.exp(1j * (angle + c * np.pi / 3))

        def potential(x):
            # Both terms are convex, whatever the curve.
            affine = (curve.real * x[0] + curve.imag * x[1] - np.abs(curve) ** 2 / 2) / 0.06
            return 0.05 * (x @ x) + 0.06 * np.logaddexp.reduce(affine)

        points = 1.5 * rng.normal(size=(5, 2))
        images = examples.sweep.exact_map(points, c)
        for point, image in zip(points, images, strict=True):
            assert_gradient(potential, image, point, rtol=1e-5)
        together = examples.sweep.exact_map(np.tile(points, (2, 1)), np.repeat([c, 0.7], 5))
        assert_close(together, np.concatenate([images, examples.sweep.exact_map(points, 0.7)]), atol=1e-12)

    def test_learns_nothing_at_the_numbers_that_are_shown(self, sweep):
        ((_, (x, y), conditions),) = sweep.fits
        assert x.shape == y.shape == (2000, 2)
        for c in (conditions["x_condition"], conditions["y_condition"]):
            assert c.shape == (2000,)
            assert c.min() < 0.01
            assert c.max() > 0.99
            assert np.abs(c[:, None] - [0.05, 0.23, 0.41, 0.59, 0.77, 0.95]).min() >= 0.02
        # Points and conditions belong together, and no side knows the other.
        assert np.abs(np.corrcoef(conditions["x_condition"], conditions["y_condition"])[0, 1]) < 0.1
        assert np.abs(np.corrcoef(conditions["x_condition"], np.linalg.norm(x, axis=1))[0, 1]) < 0.1

    def test_table_is_true(self, sweep, examples, rng):
        heads = ["c", "L2-UVP, %", "affine map", "exact map of 0.5", "sliced W2", "target to itself"]
        assert sweep.columns == heads
        assert list(sweep.rows) == ["0.05", "0.23", "0.41", "0.59", "0.77", "0.95"]
        ((ot, _, _),) = sweep.fits
        x, other = rng.normal(size=(2, 10_000, 2))
        for text, (uvp, affine, middle, sliced, floor) in sweep.rows.items():
            c = float(text)
            exact, found = examples.sweep.exact_map(x, c), ot.transform(x, condition=c)
            spread = np.trace(np.cov(exact.T))
            # Heavy tails: 4,000 points of the example against 10,000 here differ by a tenth.
            assert_close(uvp, 100 * np.mean(np.sum((found - exact) ** 2, axis=1)) / spread, rtol=0.15)
            half = examples.sweep.exact_map(x, 0.5)
            assert_close(middle, 100 * np.mean(np.sum((half - exact) ** 2, axis=1)) / spread, rtol=0.1)
            # The best affine map is a little better than the Gaussian one, estimated from few points.
            ones = np.column_stack([x, np.ones(len(x))])
            best = ones @ np.linalg.lstsq(ones, exact, rcond=None)[0]
            least = 100 * np.mean(np.sum((best - exact) ** 2, axis=1)) / spread
            assert 0.9 * least < affine < 1.5 * least
            true = distance(found, examples.sweep.exact_map(other, c))
            assert abs(sliced - true) < 0.04
            assert 0 < floor < 0.06
            assert uvp < affine

    def test_picture(self, sweep):
        assert sweep.picture.shape == (sweep.picture.shape[0], 1540, 3)
        assert 590 < sweep.picture.shape[0] < 640
        left, side = 0.3 / 15.4, (15.4 - 0.6 - 0.7) / 7 / 15.4
        starts = [left, *(left + 0.7 / 15.4 + side * column for column in range(1, 7))]
        panels = [(start, top, start + side, top + 0.33) for start in starts for top in (0.27, 0.63)]
        ink = inked(sweep.picture, panels)
        assert (ink > 0.08).all(), ink
        # Titles, and white between them and the panels' edges.
        assert (inked(sweep.picture, [(start, 0.21, start + side, 0.26) for start in starts]) > 0.02).all()
        edges = [(0, 0, 1, 0.02), (0, 0, 0.015, 1), (0.985, 0, 1, 1), (0, 0.98, 1, 1), (0.02, 0.17, 1, 0.2)]
        assert (inked(sweep.picture, edges) == 0).all()


class TestColours:
    def test_masks_hold_what_they_should(self, examples):
        china, flower = load_sample_images().images
        near = examples.colours.near_in_china(china)
        assert near.shape == (427, 640)
        # Roof, trees left and right, the right one's crown, and a wall; then sky above and between, lake, a boat.
        assert near[[110, 200, 400, 148, 240], [200, 20, 600, 616, 200]].all()
        assert not near[[20, 20, 120, 230, 260, 245], [20, 600, 450, 450, 450, 410]].any()
        near = examples.colours.near_in_flower(flower)
        assert near[[220, 220, 120, 410], [300, 250, 300, 410]].all()
        assert not near[[20, 200, 400, 400, 413], [20, 600, 200, 250, 620]].any()

    def test_halves_are_disjoint_and_keep_their_classes(self, examples, rng):
        image = np.arange(6 * 7 * 3, dtype=np.uint8).reshape(6, 7, 3)
        near = rng.random((6, 7)) < 0.5
        seen, unseen = examples.colours.clouds(image, near, rng)
        pixels = np.concatenate([np.rint(255 * part.colours) for part in (seen, unseen)])
        labels = np.concatenate([seen.labels, unseen.labels])
        order = np.argsort(pixels[:, 0])
        assert_close(pixels[order], image.reshape(-1, 3).astype(float), atol=1e-12)
        assert (labels[order] == np.where(near.ravel(), "near", "far")).all()
        assert abs(len(seen.colours) - len(unseen.colours)) <= 1

    def test_one_fit_without_conditions_and_one_with(self, colours):
        (_, plain, without), (_, conditional, with_) = colours.fits
        assert without == {}
        assert sorted(with_) == ["x_condition", "y_condition"]
        for a, b, labels in zip(plain, conditional, with_.values(), strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.shape == (8560, 3)
            assert set(labels) == {"far", "near"}

    def test_table_is_true(self, colours, examples):
        assert colours.columns == ["sliced W2 to target", "before", "no condition", "condition", "target to itself"]
        assert list(colours.rows) == ["sky, lake → background", "tower, trees → flower"]
        china, flower = load_sample_images().images
        masks = examples.colours.near_in_china(china), examples.colours.near_in_flower(flower)
        (plain, _, _), (conditional, _, _) = colours.fits
        for name, row in zip(("far", "near"), colours.rows.values(), strict=True):
            # All pixels of every fourth row and column instead of half of them.
            x, y = (
                (image[mask == (name == "near")] / 255.0)
                for image, mask in zip((china[::4, ::4], flower[::4, ::4]), (m[::4, ::4] for m in masks), strict=True)
            )
            before, one, two, floor = row
            assert_close(before, distance(x, y), rtol=0.05)
            assert_close(one, distance(plain.transform(x), y), rtol=0.05, atol=0.01)
            assert_close(two, distance(conditional.transform(x, condition=name), y), rtol=0.05, atol=0.01)
            assert_at_most(two, 0.5 * min(before, one), name)
            assert 0 < floor < 0.02

    def test_picture(self, colours):
        tall = (12 - 0.9) / 2 * 107 / 160
        assert_close(colours.picture.shape, (130 * (1.1 + 2 * (tall + 0.42) + 0.15), 1560, 3), atol=1)
        height, wide = 1.1 + 2 * (tall + 0.42) + 0.15, (12 - 0.9) / 2
        boxes = [
            (left / 12, top / height, (left + wide) / 12, (top + tall) / height)
            for top in (1.1, 1.1 + tall + 0.42)
            for left in (0.3, 0.6 + wide)
        ]
        pictures = [
            colours.picture[
                int(b * len(colours.picture)) : int(d * len(colours.picture)), int(a * 1560) : int(c * 1560)
            ]
            for a, b, c, d in boxes
        ]
        china, flower = load_sample_images().images
        for picture, photograph in zip(pictures[:2], (china, flower), strict=True):
            assert_close(picture.mean(axis=(0, 1)), photograph.mean(axis=(0, 1)), atol=4)
        # With the condition most of the upper right corner, sky, is dark, and without it is not.
        corner = [picture[: len(picture) // 3, -len(picture) // 3 :].mean() for picture in pictures[2:]]
        assert corner[1] < 0.6 * corner[0]


@pytest.mark.parametrize("name", sorted(NAMES))
class TestOutput:
    def refused(self, module, folder, monkeypatch):
        """Before any work: the error, with nothing written anywhere below the folder's parent."""
        monkeypatch.setattr(module, "BrenierMap", lambda **_: pytest.fail("worked before the output was checked"))
        before = {path: path.is_file() and path.read_bytes() for path in folder.parent.rglob("*")}
        done = run(module, "--output", folder, code=2)
        assert done.stdout == ""
        assert {path: path.is_file() and path.read_bytes() for path in folder.parent.rglob("*")} == before
        return done.stderr

    def test_a_file_in_place_of_the_folder(self, name, examples, tmp_path, monkeypatch):
        (tmp_path / "taken").write_bytes(b"mine")
        message = self.refused(getattr(examples, name), tmp_path / "taken", monkeypatch)
        assert message == f"error: `{tmp_path / 'taken'}` cannot be made a folder: File exists. Name another.\n"

    def test_a_folder_in_place_of_the_file(self, name, examples, tmp_path, monkeypatch):
        (tmp_path / "out" / FILES[name]).mkdir(parents=True)
        message = self.refused(getattr(examples, name), tmp_path / "out", monkeypatch)
        assert message == f"error: `{tmp_path / 'out' / FILES[name]}` is a folder. Name a file in it.\n"

    def test_an_older_picture_stays_where_drawing_fails(self, name, examples, tmp_path, monkeypatch):
        module = getattr(examples, name)
        (tmp_path / FILES[name]).write_bytes(b"older")
        monkeypatch.setattr(module.Figure, "savefig", lambda self, handle, **_: handle.write(b"half") and 1 / 0)
        with pytest.raises(ZeroDivisionError):
            draw(module, name, tmp_path / FILES[name])
        assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"older"]

    def test_options_out_of_range(self, name, examples, tmp_path):
        for words in (("--max-steps", 0), ("--seed", -1)):
            assert "Invalid value" in run(getattr(examples, name), "--output", tmp_path / "a", *words, code=2).stderr
        assert not (tmp_path / "a").exists()


def draw(module, name, path):
    if name == "sweep":
        points = np.random.default_rng(0).normal(size=(30, 2))
        module.write_figure(path, SimpleNamespace(transform=lambda x, condition: x), points, points)
    else:
        image, mask = np.zeros((8, 9, 3), np.uint8), np.arange(72).reshape(8, 9) < 30
        module.write_figure(path, (image, image), (mask, mask), (image, image))
