"""The example of a server: what it answers is what the map does."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from asserts import assert_close, assert_same
from made import transport_map

pytest.importorskip("fastapi")
pytest.importorskip("httpx2")

APP = Path(__file__).parents[1] / "examples" / "server" / "app.py"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A client of the server, and its map."""
    from fastapi.testclient import TestClient

    map_ = transport_map("icnn-ramp")
    path = tmp_path_factory.mktemp("server") / "map.brenier"
    map_.save(path)
    spec = importlib.util.spec_from_file_location("server_example", APP)
    module = sys.modules["server_example"] = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BRENIER_MAP", str(path))
        spec.loader.exec_module(module)
        patch.setattr(module, "MOST_ROWS", 64)
        with TestClient(module.app) as client:
            yield client, map_
    del sys.modules["server_example"]


def test_points_are_moved(served, rng):
    client, map_ = served
    points = rng.normal(size=(5, 3))
    answer = client.post("/transform", json={"points": points.tolist()})
    assert answer.status_code == 200
    assert_same(np.array(answer.json()["points"]), map_.forward(points))


def test_preimages_have_a_status(served, rng):
    client, map_ = served
    points = rng.normal(size=(3, 3))
    answer = client.post("/inverse", json={"points": map_.forward(points).tolist()}).json()
    assert_close(np.array(answer["points"]), points, atol=1e-3)
    assert answer["converged"] == [True] * 3
    assert max(answer["residual"]) < 1e-3


def test_the_map_is_described(served):
    client, map_ = served
    assert client.get("/map").json()["dim"] == map_.dim


@pytest.mark.parametrize(
    "points", [[], [[1.0, 2.0]], [[1.0, 2.0, "x"]], [[1.0, 2.0, 3.0], [1.0]], [[0.0] * 3] * 8193, "text"]
)
def test_what_cannot_be_moved_is_refused_with_words(served, points):
    answer = served[0].post("/transform", json={"points": points})
    assert answer.status_code == 422
    assert answer.json()["detail"]
