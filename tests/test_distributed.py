"""Fits in shards: the step against the same step in one piece, devices and processes against one device."""

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from asserts import assert_close, assert_same
from brenier import BrenierMap, Training, TransportMap
from brenier._errors import DistributedError, InputError
from brenier._processes import agree, any_of, from_all, from_first, need_all
from brenier._states import pack, unpack
from brenier.data.streams import ArrayStream, IteratorStream, PointStream, SamplerStream
from brenier.data.weights import WeightedStream
from brenier.estimators.conditioned import BalancedStream
from brenier.files import open_points
from brenier.solvers import BFGS, LBFGS, Spectral
from brenier.training import choose_config
from brenier.training.calibration import Affine, Calibration
from brenier.training.placement import Sharded
from brenier.training.sharded import refresh_shards, run_sharded_steps
from brenier.training.step import Batches, Context, TrainingState, run_steps, solve_pool, start
from distributed_fit import data, fit
from networks import double, fresh, perturb

WORKER = Path(__file__).with_name("distributed_fit.py")
SLACK = 2e-5
"""Sums in another order, after some hundred steps in single precision."""


def port():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def launch(*args, devices=1):
    environment = {**os.environ, "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    command = [sys.executable, *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def finished(*processes):
    outputs = [process.communicate(timeout=300) for process in processes]
    for process, (_, err) in zip(processes, outputs, strict=True):
        assert process.returncode == 0, err
    return [json.loads(out.splitlines()[-1]) for out, _ in outputs]


def assert_same_map(one, other, points):
    assert_close(one.forward(points), other.forward(points), atol=SLACK)
    assert_close(one.inverse(points), other.inverse(points), atol=10 * SLACK)


@pytest.mark.parametrize("calibrated", [False, True])
@pytest.mark.parametrize("solver", [BFGS(), LBFGS(memory=2), Spectral()], ids=["bfgs", "lbfgs", "spectral"])
def test_a_step_in_shards_is_the_step_in_one_piece(rng, x64, solver, calibrated):
    u = double(perturb(fresh("icnn-softplus", 2, (3, 2)), 1, 0.4))
    shards = Sharded.over(2)
    x, y = rng.standard_normal((2, 2, 6, 2))
    slots = np.array([[[0, 3], [5, 1]], [[1, 2], [3, 4]], [[0, 3], [1, 1]]])  # step, shard, pair
    rates, tolerances = jnp.full(3, 0.01), jnp.full(3, 1e-3)
    static = eqx.filter(u, eqx.is_inexact_array, inverse=True)

    def context(x, y):
        return Context(solver, (1, 50), 0.0, 0.2, jnp.ones(2), static, jnp.asarray(x), jnp.asarray(y), decay=0.1)

    whole = context(x.reshape(12, 2), y.reshape(12, 2))
    flat = (slots + np.array([0, 6])[:, None]).reshape(3, 4)
    state = start(u, whole.y, solver)
    halves = jax.tree.map(lambda array: array.reshape(2, 6, *array.shape[1:]), (state.conjugates, state.memory))
    divided = TrainingState(state.parameters, state.average, state.optimizer, *halves, state.steps)
    divided = jax.tree.map(jnp.copy, divided)
    matrix, shift = np.eye(2) + 0.1 * rng.standard_normal((3, 2, 2)), 0.1 * rng.standard_normal((3, 2))
    both = [Affine(matrix, shift), Affine(np.swapaxes(matrix, 1, 2), -shift)]
    same = jax.tree.map(jnp.asarray, Calibration(*both)) if calibrated else None
    of_parts = jax.tree.map(lambda array: jnp.stack([array, array], axis=1), same)
    expected, counts = run_steps(whole, state, Batches(jnp.asarray(flat), jnp.asarray(flat), rates, tolerances, same))
    parts = Batches(jnp.asarray(slots), jnp.asarray(slots), rates, tolerances, of_parts)
    found, statistics = run_sharded_steps(context(x, y), divided, parts, shards.mesh)
    for name in ("parameters", "average", "optimizer"):
        assert_close(*(ravel_pytree(getattr(own, name))[0] for own in (found, expected)), rtol=1e-6, atol=1e-9)
    assert_close(found.conjugates.reshape(12, 2), expected.conjugates, atol=1e-3)  # each stops at its own round
    assert_close(statistics.unconverged, counts.unconverged, atol=1e-12)
    assert int(found.steps) == 3


def test_points_far_from_their_root_are_left_out_in_all_shards(rng, x64):
    u = double(perturb(fresh("icnn-softplus", 2, (3, 2)), 1, 0.4))
    x, y = rng.standard_normal((2, 2, 2, 2))
    y[1, 0] = 50.0
    static = eqx.filter(u, eqx.is_inexact_array, inverse=True)
    context = Context(Spectral(), (1, 1), 1.0, 0.2, jnp.ones(2), static, jnp.asarray(x), jnp.asarray(y))
    state = start(u, context.y[0], Spectral())
    stacked = jax.tree.map(lambda array: jnp.stack([array, array]), (context.y[0], state.memory))
    conjugates = 1.0 * context.y
    divided = TrainingState(state.parameters, state.average, state.optimizer, conjugates, stacked[1], state.steps)
    slots = jnp.asarray([[[0, 1], [0, 1]]])
    batches = Batches(slots, slots, jnp.full(1, 0.01), jnp.full(1, 1e-9))
    _, statistics = run_sharded_steps(context, divided, batches, Sharded.over(2).mesh)
    left_out = float(statistics.unconverged[0])
    assert 0.25 <= left_out < 1.0
    assert left_out * 4 == round(left_out * 4)


def test_fresh_targets_are_solved_in_their_shards(rng, x64):
    u = double(perturb(fresh("icnn-softplus", 2, (3, 2)), 1, 0.4))
    arrays, static = eqx.partition(u, eqx.is_inexact_array)
    x, y = rng.standard_normal((2, 2, 6, 2))
    context = Context(BFGS(), (1, 50), 0.0, 0.2, jnp.ones(2), static, jnp.asarray(x), jnp.asarray(y))
    state = start(u, context.y[0], BFGS())
    memory = jax.tree.map(lambda array: jnp.stack([array, array]), state.memory)
    old = TrainingState(state.parameters, state.average, state.optimizer, 7.0 + context.y, memory, state.steps)
    slots, tolerance = np.array([4, 1]), jnp.asarray(1e-10)
    rows = context.y[:, slots][:, None]
    new = refresh_shards(context, old, rows, jnp.asarray(slots), tolerance, 200, Sharded.over(2).mesh)
    for part in range(2):
        points, _ = solve_pool(context, arrays, rows[part], tolerance, 200)
        assert_close(new.conjugates[part][slots], points[0], atol=1e-9)
        untouched = [0, 2, 3, 5]
        assert_same(np.asarray(new.conjugates[part])[untouched], np.asarray(old.conjugates[part])[untouched])


@pytest.mark.parametrize(
    "kind", ["samplers", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("refit", "weights"))]
)
def test_four_devices_find_what_one_does(tmp_path, kind, rng):
    """What four devices compute in parts, one computes in as many parts: sums in another order apart."""
    worker = launch(WORKER, kind, 4, tmp_path / "four", devices=4)
    alone = fit(kind, 4, tmp_path / "one")
    (found,) = finished(worker)
    assert (found["devices"], found["steps"], found["gaussian"]) == (4, alone["steps"], False)
    assert_close(found["duals"], alone["duals"], atol=SLACK)
    maps = [TransportMap.load(tmp_path / name) for name in ("four", "one")]
    assert_same_map(*maps, rng.normal(size=(50, maps[0].dim)))


@pytest.mark.parametrize("processes", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_several_processes_find_what_one_does(tmp_path, processes, rng):
    where = port()
    workers = [
        launch(WORKER, "arrays", 4, tmp_path / f"map{process}", process, processes, where)
        for process in range(processes)
    ]
    alone = fit("arrays", 4, tmp_path / "one")
    found = finished(*workers)
    maps = [TransportMap.load(tmp_path / f"map{process}") for process in range(processes)]
    points = rng.normal(size=(50, 2))
    assert all(own["devices"] == processes and own["steps"] == alone["steps"] for own in found)
    assert_close(found[0]["duals"], alone["duals"], atol=SLACK)
    assert_same_map(maps[0], TransportMap.load(tmp_path / "one"), points)
    for other in maps[1:]:
        assert_same(other.forward(points), maps[0].forward(points))


def test_a_budget_in_seconds_takes_the_same_steps_in_all_processes(tmp_path, rng):
    where = port()
    workers = [launch(WORKER, "seconds", 0, tmp_path / f"map{process}", process, 2, where) for process in range(2)]
    first, second = finished(*workers)
    assert first == second
    points = rng.normal(size=(50, 2))
    one, other = (TransportMap.load(tmp_path / f"map{process}") for process in range(2))
    assert_same(one.forward(points), other.forward(points))


@pytest.mark.slow
def test_shards_change_a_result_no_more_than_a_seed_does():
    X, Y = data("arrays")[0]
    settings = {"max_steps": 256, "refit": False, "training": Training(batch_size=256, pool_size=2048)}
    images = {}
    for name, (seed, shards) in {"one": (0, None), "seed": (1, None), "four": (0, 4)}.items():
        ot = BrenierMap(**settings, random_state=seed).fit(X, Y, shards=shards)
        images[name] = ot.transform(X[:500])
    by_seed, by_shards = (np.abs(images[name] - images["one"]).mean() for name in ("seed", "four"))
    assert by_shards <= 3.0 * by_seed


def test_what_is_set_for_shards():
    assert choose_config(2, None).batch * 4 == choose_config(2, None, shards=4).batch
    assert choose_config(2, 900).pool * 4 == choose_config(2, 900, shards=4).pool
    assert choose_config(2, 900, shards=4, batch=64).batch == 64
    assert choose_config(2, 900).shards == 1


@pytest.mark.parametrize(
    ("shards", "settings", "words"),
    [
        (0, {}, r"`shards` must be a positive integer or None; got 0"),
        (1.5, {}, r"`shards` must be a positive integer or None; got 1.5"),
        (3, {"batch_size": 128}, r"`batch_size` must be a multiple of `shards`; got 128 and 3"),
        (3, {"batch_size": 96, "pool_size": 2048}, r"`pool_size` must be a multiple of `shards`"),
        (2048, {}, r"`shards` must be at most the number of training rows"),
    ],
)
def test_shards_that_cannot_be_are_refused(shards, settings, words):
    X, Y = np.random.default_rng(0).normal(size=(2, 400, 2))
    with pytest.raises(InputError, match=words):
        BrenierMap(max_steps=16, random_state=0, training=Training(**settings)).fit(X, Y, shards=shards)


def test_iterators_cannot_be_divided():
    batches = [np.random.default_rng(0).normal(size=(5000, 2)) for _ in range(2)]
    with pytest.raises(InputError, match=r"`X` is an iterator, which cannot be divided into 2 `shards`"):
        BrenierMap(max_steps=16, random_state=0).fit(batches, batches, shards=2)


class Cut(Exception):
    """Ends a fit at a look, as a kill would."""


def cut_at(steps):
    def look(row):
        if row.step >= steps:
            raise Cut

    return look


@pytest.mark.parametrize("settings", [{}, {"solver": LBFGS(memory=2)}], ids=["bfgs", "lbfgs"])
def test_a_fit_in_shards_goes_on_from_a_checkpoint(tmp_path, settings, rng, monkeypatch):
    monkeypatch.setattr("brenier.checkpoint.keeping.COST", np.inf)  # after every chunk of steps
    # In eight dimensions three in four targets, with what is known of them, outlive a chunk of steps.
    X, Y = rng.normal(size=(2, 1500, 8))
    Y, common = Y + np.tanh(3.0 * Y), data("arrays")[1] | {"max_steps": 640}
    common["training"] = replace(common["training"], **settings)
    whole = BrenierMap(**common).fit(X, Y, shards=4)
    with pytest.raises(Cut):
        BrenierMap(**common, callbacks=cut_at(512)).fit(X, Y, shards=4, checkpoint=tmp_path / "work")
    again = BrenierMap(**common).fit(X, Y, shards=4, checkpoint=tmp_path / "work")
    assert again.resumed_.step == 384
    assert [row.dual for row in again.history_] == [row.dual for row in whole.history_]
    assert_same(again.transform(X[:50]), whole.transform(X[:50]))


@pytest.mark.slow
def test_processes_that_were_killed_go_on_together(files, rng):
    steps = ["--max-steps", 1024, "--no-refit"]
    for process in commands(files, port(), 2, *steps):
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
    expected = TransportMap.load(files / "map.brenier")
    first, second = commands(files, port(), 2, *steps, "--checkpoint", files / "work")
    while not [own for own in files.glob("work/*") if own.stem.isdecimal() and int(own.stem) > 1]:
        assert first.poll() is None, first.stderr.read()
        time.sleep(0.05)
    second.kill()
    for process in (first, second):
        process.communicate(timeout=120)
    assert first.returncode == 2
    again = commands(files, port(), 2, *steps, "--checkpoint", files / "work", "--json")
    (out, err), _ = (process.communicate(timeout=300) for process in again)
    assert again[0].returncode == 0, err
    assert json.loads(out)["resumed_from"]["step"] > 0
    points = rng.normal(size=(50, 2))
    assert_same(TransportMap.load(files / "map.brenier").forward(points), expected.forward(points))
    alone = [sys.executable, "-m", "brenier", "fit", files / "x.npy", files / "y.npy", "-o", files / "one.brenier"]
    alone += [*steps, "--shards", 2, "--checkpoint", files / "work", "--json"]
    done = subprocess.run([*map(str, alone)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["resumed_from"]["finished"]
    assert_same(TransportMap.load(files / "one.brenier").forward(points), expected.forward(points))


def test_states_survive_being_sent(monkeypatch):
    state = {"a": [1, None, {"b": np.arange(6.0).reshape(2, 3)}], "c": np.zeros((0, 2), np.float32), "d": 2**70}
    assert from_all(state) == [state]
    assert from_first(state) is state
    back = unpack(pack(state))
    assert (back["a"][:2], back["d"]) == ([1, None], 2**70)
    assert_same(back["a"][2]["b"], state["a"][2]["b"])
    assert_same(back["c"], state["c"])


def test_parts_of_an_array_are_its_rows(rng):
    values = rng.normal(size=(10, 2))
    source = ArrayStream(values, np.random.default_rng(0))
    parts = [source.part(number, 3) for number in range(3)]
    assert [part.size for part in parts] == [4, 3, 3]
    drawn = np.concatenate([part.draw(part.size) for part in parts])
    assert_same(drawn[np.lexsort(drawn.T)], values[np.lexsort(values.T)])


def sources():
    rng = np.random.default_rng(0)
    values, weights = rng.normal(size=(64, 3)), np.full(64, 1 / 64)
    values[:, 2] = 0.0
    yield ArrayStream(values, np.random.default_rng(5))
    yield WeightedStream(values, weights, np.random.default_rng(5))
    yield BalancedStream(values, weights, 2, np.random.default_rng(5))
    yield SamplerStream(lambda key, n: jax.random.normal(key, (n, 3)), 5, "X")


@pytest.mark.parametrize("place", range(4), ids=["array", "weighted", "balanced", "sampler"])
def test_parts_are_the_same_whatever_was_drawn_before(place):
    source = list(sources())[place]
    first = source.part(1, 4).draw(8)
    source.draw(5)
    source.part(0, 4).draw(3)
    assert_same(source.part(1, 4).draw(8), first)
    assert not np.array_equal(source.part(2, 4).draw(8), first)


def test_every_part_of_a_weighted_sample_has_its_weights(rng):
    values, weights = np.array([[0.0], [1.0]]), np.array([0.25, 0.75])
    part = WeightedStream(values, weights, rng).part(1, 2)
    assert part.draw(400).mean() == 0.75


def test_a_supply_of_ones_own_needs_no_parts_until_it_is_divided():
    class Own(PointStream):
        dim, size = 2, None

        def draw(self, n):
            return np.zeros((n, 2))

    with pytest.raises(InputError, match=r"divided into 3 parts, not a Own\. Give it the method `part`"):
        Own().part(0, 3)


def test_an_iterator_has_no_parts():
    with pytest.raises(InputError, match="cannot be divided"):
        IteratorStream([np.zeros((3, 2))], "X").part(0, 2)


def test_shards_go_to_devices_that_divide_them():
    shards = Sharded.over(6)
    assert shards.numbers == list(range(6))
    rows = np.arange(12.0, dtype=np.float32).reshape(6, 2)
    assert_same(shards.split(shards.join(rows)), rows)
    assert_same(np.asarray(shards.join(rows, axis=1)), rows.T)


def test_one_process_agrees_with_itself():
    tree = {"a": 1, "b": (2.5, True, np.arange(3))}
    assert agree(tree) is tree
    assert any_of(True)
    assert not any_of(False)


def test_failures_of_one_process_alone_are_its_own():
    with pytest.raises(jax.errors.JaxRuntimeError, match="some other"), need_all():
        raise jax.errors.JaxRuntimeError("some other")


@pytest.mark.parametrize("kind", [jax.errors.JaxRuntimeError, ValueError])
def test_a_lost_process_has_a_message(monkeypatch, kind):
    monkeypatch.setattr(jax, "process_count", lambda: 3)
    with (
        pytest.raises(DistributedError, match=r"another of the 3 processes of this fit has ended .*closed by peer"),
        need_all(),
    ):
        raise kind("UNKNOWN: Gloo all-reduce failed: closed by peer\nat 0x123")
    with pytest.raises(jax.errors.JaxRuntimeError, match="RESOURCE"), need_all():
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")


@pytest.fixture
def files(tmp_path):
    for name, points in zip("xy", data("arrays")[0], strict=True):
        np.save(tmp_path / f"{name}.npy", points)
    return tmp_path


def commands(files, where, processes, *more):
    fixed = ["-m", "brenier", "fit", files / "x.npy", files / "y.npy", "-o", files / "map.brenier", "--distributed"]
    fixed += ["--coordinator", f"localhost:{where}", "--processes", processes, *more]
    return [launch(*fixed, "--process", process) for process in range(processes)]


def test_the_first_process_of_a_command_speaks_and_writes(files, rng):
    first, second = commands(files, port(), 2, "--max-steps", 32, "--no-refit", "--json")
    (out, err), (other, _) = (process.communicate(timeout=300) for process in (first, second))
    assert (first.returncode, second.returncode) == (0, 0), err
    record = json.loads(out)
    assert other == ""
    assert record["steps"] == 32
    alone = [*map(str, ("-m", "brenier", "fit", files / "x.npy", files / "y.npy", "-o", files / "one.brenier"))]
    subprocess.run([sys.executable, *alone, "--max-steps", "32", "--no-refit", "--shards", "2"], check=True, stderr=-3)
    maps = (TransportMap.load(files / f"{name}.brenier") for name in ("map", "one"))
    assert_same_map(*maps, rng.normal(size=(50, 2)))


def test_a_process_that_dies_ends_the_others_with_a_message(files):
    first, second = commands(files, port(), 2, "--max-steps", 1_000_000)
    assert "dual" in first.stderr.readline() + first.stderr.readline()  # it trains
    second.kill()
    killed = time.monotonic()
    _, err = first.communicate(timeout=120)
    second.communicate()
    assert time.monotonic() - killed < 60.0
    assert first.returncode == 2, err
    assert "another of the 2 processes of this fit has ended" in err
    assert not (files / "map.brenier").exists()


def test_options_of_processes_need_distributed(files):
    command = [sys.executable, "-m", "brenier", "fit", files / "x.npy", files / "y.npy", "-o", files / "m.brenier"]
    done = subprocess.run([*map(str, command), "--processes", "2"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "`--processes` needs `--distributed`" in done.stderr


def test_processes_that_are_not_found_are_an_error(files):
    command = [sys.executable, "-m", "brenier", "fit", files / "x.npy", files / "y.npy", "-o", files / "m.brenier"]
    done = subprocess.run([*map(str, command), "--distributed"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "the processes did not find each other" in done.stderr


def test_files_larger_than_memory_are_divided(tmp_path, rng):
    X = rng.normal(size=(40_000, 2))
    for name, points in (("x", X), ("y", X * [2.0, 0.5] + 1.0)):
        np.save(tmp_path / f"{name}.npy", points[rng.permutation(len(points))])
    sides = [open_points(tmp_path / f"{name}.npy", memory=1_000_000) for name in "xy"]
    settings = Training(hidden=(8,), batch_size=64, pool_size=1024)
    ot = BrenierMap(max_steps=256, training=settings, random_state=0).fit(
        *sides, shards=2, checkpoint=tmp_path / "work"
    )
    assert_close(ot.transform(X[:20]), X[:20] * [2.0, 0.5] + 1.0, atol=0.05)
    again = BrenierMap(max_steps=256, training=settings, random_state=0).fit(
        *sides, shards=2, checkpoint=tmp_path / "work"
    )
    assert again.resumed_.finished
    assert_same(again.transform(X[:20]), ot.transform(X[:20]))
