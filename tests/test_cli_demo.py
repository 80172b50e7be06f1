"""`brenier demo`, as it is but for its budget."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_sample_images
from typer.testing import CliRunner

from brenier import TransportMap
from brenier.cli import app
from brenier.demo.paint import paint, preimages, smooth_part
from brenier.files import read_image, to_colours
from brenier.metrics import sliced_w2


def test_demo(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "demo"
    result = CliRunner().invoke(
        app, ["demo", "--out", str(folder), "--max-steps", "768", "--max-seconds", "600", "--json"]
    )
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["files"] == {
        "forward": str(folder / "china-in-flower-colours.png"),
        "inverse": str(folder / "flower-in-china-colours.png"),
        "figure": str(folder / "demo.png"),
        "map": str(folder / "demo.brenier"),
    }
    assert sorted(str(path) for path in folder.iterdir()) == sorted(record["files"].values())
    assert 0.68 < record["w2"] < 0.74
    assert (record["steps"], record["baseline"]) == (768, False)
    assert record["value"] == pytest.approx(record["w2"] ** 2 / 2)
    assert 0.6 < record["cost"] < 0.85
    assert (record["unconverged"], record["unconverged_pixels"]) == (0.0, 0.0)
    assert max(record["clipped"].values()) < 0.4
    assert "warning" not in result.stderr

    china, flower = (to_colours(image) for image in load_sample_images().images)
    for role, own, other in (("forward", china, flower), ("inverse", flower, china)):
        image = read_image(record["files"][role])
        assert image.shape == (427, 640, 3)
        painted = to_colours(image)[::50]
        assert sliced_w2(painted, other[::50]) < 0.3 * sliced_w2(own[::50], other[::50])
    assert min(read_image(record["files"]["figure"]).shape[:2]) > 2000
    assert TransportMap.load(record["files"]["map"]).info["steps"] == record["steps"]

    map_ = TransportMap.load(record["files"]["map"])
    some = flower[::97]
    points, unconverged = preimages(map_, some)
    assert unconverged == 0
    np.testing.assert_allclose(map_.forward(points), some, atol=2 / 255)


def test_painting_by_the_identity_changes_nothing() -> None:
    image = load_sample_images().images[0][:60, :80]
    painted, clipped = paint(image, lambda colours: colours)
    np.testing.assert_array_equal(painted, image)
    assert clipped == 0


def test_smoothing_removes_rounding_and_keeps_edges() -> None:
    smooth = np.linspace(60, 110, 256)[None, :, None] + np.zeros((40, 1, 3))
    smooth[:, 128:] += 90  # an edge
    image = np.round(smooth).astype(np.uint8)
    error = smooth_part(image).reshape(smooth.shape) * 255 - smooth
    assert np.abs(error).max() < 1
    inside = error[:, 32:96]
    assert inside.std() < 0.3 * (image - smooth).std()
