"""The command line on images: clouds of colours in, images of the same size out."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brenier import TransportMap
from brenier.files import to_colours, to_image
from brenier.maps import Inverse
from commands import as_json, run

STEPS = "128"


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Two small images, and the map between their colours."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(1)
    dark, light = rng.integers(0, 120, (20, 30, 3)), rng.integers(100, 250, (25, 24, 3)) // 4 * 4
    paths = folder / "dark.png", folder / "light.png", folder / "m.brenier"
    for path, pixels in zip(paths, (dark, light), strict=False):
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    run("fit", *paths[:2], "-o", paths[2], "--max-steps", STEPS)
    return paths


def test_pixels_may_repeat(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (3, 4, 3)).astype(np.uint8).repeat(7, axis=0)
    for name in ("x.png", "y.png"):
        Image.fromarray(pixels).save(tmp_path / name)
    result = run("fit", tmp_path / "x.png", tmp_path / "y.png", "-o", tmp_path / "m")
    assert "repeat" not in result.stderr
    assert as_json("inspect", tmp_path / "m")["columns"] == ["red", "green", "blue"]


def test_images(photographs: tuple[Path, Path, Path], tmp_path: Path) -> None:
    dark, _, map_file = photographs
    record = as_json("transform", map_file, dark, "-o", tmp_path / "o.png")
    pixels = np.asarray(Image.open(dark))
    colours = TransportMap.load(map_file).forward(to_colours(pixels))
    expected, clipped = to_image(colours, pixels.shape)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "o.png")), expected)
    assert (record["size"], record["clipped"]) == ([30, 20], clipped)
    assert np.abs(expected.mean() - 173) < 10


def test_images_back(photographs: tuple[Path, Path, Path], tmp_path: Path) -> None:
    _, light, map_file = photographs
    result = run("transform", map_file, light, "-o", tmp_path / "o.png", "--inverse")
    assert "of the channel values" in result.stdout
    back = np.asarray(Image.open(tmp_path / "o.png"))
    assert back.shape == (25, 24, 3)
    assert np.abs(back.mean() - 59.5) < 10
    run("transform", map_file, light, "-o", tmp_path / "same.png", "--inverse", "--t", 0)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "same.png")), np.asarray(Image.open(light)))


def test_unconverged_pixels_are_counted_in_the_image(
    photographs: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, map_file = photographs
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[1, 1:] = 200
    Image.fromarray(pixels).save(tmp_path / "two.png")

    def light_fails(self: TransportMap, Y: np.ndarray, **_: object) -> Inverse:
        assert len(Y) == 2
        return Inverse(Y, np.ones(2), Y[:, 0] < 0.5, np.ones(2, np.int32))

    monkeypatch.setattr(TransportMap, "inverse_with_status", light_fails)
    record = as_json("transform", map_file, tmp_path / "two.png", "-o", tmp_path / "o.png", "--inverse")
    assert record["unconverged_rows"] == [4, 5]
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "o.png")), pixels)
