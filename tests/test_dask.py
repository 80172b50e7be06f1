"""Frames of dask: moved as the map moves their rows, on the processes of a cluster, too."""

import dataclasses

import dask
import numpy as np
import pandas as pd
import pytest
from dask import dataframe as dd

import brenier.integrations.dask
from asserts import assert_close, assert_same
from brenier import InputError
from brenier.costs import PNorm
from made import conditional_map, cost_map, transport_map

NAMES = ["a", "b", "c"]


@pytest.fixture(params=["tasks", "emptied"])
def frame(request, rng):
    """Partitions of different lengths, one of them without rows, with columns besides those of the map."""
    rows = pd.DataFrame(rng.normal(size=(60, 3)), columns=NAMES, index=np.arange(100, 160))
    rows.insert(1, "event", np.arange(60))
    rows["c"] = rows["c"].astype(np.float32)
    lazy = dd.from_pandas(rows, npartitions=4)
    return lazy if request.param == "tasks" else lazy[lazy["event"] >= 30]


@pytest.fixture
def named():
    map_ = transport_map("icnn-ramp")
    return brenier.TransportMap(map_.geometry, map_.potential, None, tuple(NAMES), {})


def computed(frame):
    with dask.config.set(scheduler="synchronous"):
        return frame.compute()


def test_rows_are_moved_and_other_columns_stay(named, frame):
    moved = brenier.integrations.dask.transform(named, frame)
    found, rows = computed(moved), computed(frame)
    assert_same(found[NAMES].to_numpy(), named.forward(rows[NAMES].to_numpy(np.float64)))
    assert list(found.columns) == ["a", "event", "b", "c"]
    pd.testing.assert_series_equal(found["event"], rows["event"])
    assert moved.npartitions == 4
    assert dict(moved.dtypes) == dict(found.dtypes)


def test_part_of_the_way(named, frame):
    found, rows = (
        computed(brenier.integrations.dask.transform(named, frame, t=0.25)),
        computed(frame)[NAMES].to_numpy(np.float64),
    )
    assert_close(found[NAMES].to_numpy(), 0.75 * rows + 0.25 * named.forward(rows), rtol=1e-12)


def test_an_inverse_has_its_status(named, frame):
    moved = brenier.integrations.dask.transform(named, frame, inverse=True)
    found = computed(moved)
    expected = named.inverse_with_status(computed(frame)[NAMES].to_numpy(np.float64))
    assert_close(found[NAMES].to_numpy(), expected.points, atol=1e-4)
    assert found["converged"].all()
    assert (found["residual"] < 1e-3).all()
    assert dict(moved.dtypes) == dict(found.dtypes)


def test_maps_for_other_costs(frame):
    map_ = dataclasses.replace(cost_map(PNorm(1.5)), columns=None)  # then all columns are points
    found = computed(brenier.integrations.dask.transform(map_, frame[NAMES]))
    assert_same(found.to_numpy(), map_.forward(computed(frame)[NAMES].to_numpy(np.float64)))


def test_conditions_are_read_from_their_columns(rng):
    map_ = conditional_map(classes=2, numbers=0)
    (variable,) = map_.conditions.variables
    label, other = map_.conditions.class_names()
    rows = pd.DataFrame(rng.normal(size=(40, 3)), columns=NAMES)
    name = variable.name or "kind"
    map_ = named_conditions(map_, name)
    rows[name] = np.where(rng.random(40) < 0.5, label, other)
    found = computed(brenier.integrations.dask.transform(map_, dd.from_pandas(rows, npartitions=3)))
    assert_close(found[NAMES].to_numpy(), map_.forward(rows[NAMES].to_numpy(), condition=rows[[name]]), rtol=1e-12)
    assert (found[name] == rows[name]).all()


def named_conditions(map_, name):
    (variable,) = map_.conditions.variables
    space = dataclasses.replace(map_.conditions, variables=(variable._replace(name=name),))
    return dataclasses.replace(map_, conditions=space, columns=tuple(NAMES))


def test_a_map_file_is_enough(named, frame, tmp_path):
    named.save(tmp_path / "map.brenier")
    found = computed(brenier.integrations.dask.transform(tmp_path / "map.brenier", frame))
    assert_same(found[NAMES].to_numpy(), named.forward(computed(frame)[NAMES].to_numpy(np.float64)))


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (lambda frame: frame.drop(columns="b"), {}, "`frame` lacks `b`; the map has 3 columns, a, b, c"),
        (lambda frame: frame.assign(residual=1.0), {"inverse": True}, "`frame` has a column `residual`"),
        (lambda frame: frame, {"t": 1.5}, "`t` must lie between 0 and 1, and be 1 with `inverse`; got 1.5"),
        (lambda frame: frame, {"t": 0.5, "inverse": True}, "be 1 with `inverse`; got 0.5"),
        (lambda frame: frame.compute(), {}, "`frame` must be a frame of dask; got DataFrame"),
    ],
)
def test_frames_that_cannot_be_moved_are_refused(named, frame, change, options, words):
    with pytest.raises(InputError, match=words):
        brenier.integrations.dask.transform(named, change(frame), **options)


def test_an_estimator_is_no_map(frame):
    with pytest.raises(InputError, match="`map_` must be a map or the path of a map file"):
        brenier.integrations.dask.transform(brenier.BrenierMap(), frame)


def test_gaps_are_an_error_when_they_are_computed(named, frame):
    holes = brenier.integrations.dask.transform(named, frame.assign(a=np.nan))
    with pytest.raises(InputError, match="NaN"):
        computed(holes)


def test_two_workers_move_what_one_process_does(named, tmp_path, rng):
    distributed = pytest.importorskip("distributed")
    rows = pd.DataFrame(rng.normal(size=(400, 3)), columns=NAMES)
    dd.from_pandas(rows, npartitions=8).to_parquet(tmp_path / "rows")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        brenier.integrations.dask.transform(named, dd.read_parquet(tmp_path / "rows")).to_parquet(tmp_path / "moved")
        back = brenier.integrations.dask.transform(named, dd.read_parquet(tmp_path / "moved"), inverse=True).compute()
        worked = client.run(lambda: __import__("sys").modules.get("brenier") is not None)
    assert list(worked.values()) == [True, True]
    moved = pd.read_parquet(tmp_path / "moved")[NAMES].to_numpy()
    assert_same(moved, named.forward(rows.to_numpy()))
    assert back["converged"].all()
    assert_close(back[NAMES].to_numpy(), rows.to_numpy(), atol=1e-3)
