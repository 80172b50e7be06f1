"""`brenier bench peers`: what it counts and compares, that every method learns, and that failures are rows."""

import json
import math
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from brenier._errors import InputError
from brenier.cli.app import app
from brenier_bench import contest, worker
from brenier_bench.contest import Contest, compare, summary
from brenier_bench.datasets import GaussianPair, Wasserstein2Pair
from brenier_bench.method import Fitted, score
from brenier_bench.methods import METHODS, Method, choose_methods
from brenier_bench.problem import Clock, Problem, batches
from commands import as_json

GAUSSIAN = GaussianPair.random(2, seed=3)


class Steps(Clock):
    """A clock that is over after a number of looks at it, so that no test depends on the machine's speed."""

    def __init__(self, steps: int) -> None:
        super().__init__(1.0, 0.0)
        self.looks, self.steps = 0, steps

    @property
    def progress(self) -> float:
        self.looks += 1
        return min(self.looks / self.steps, 1.0)

    def cosine(self) -> float:
        return 0.5 * (1.0 + math.cos(math.pi * min(self.looks / self.steps, 1.0)))


def saved(pair: GaussianPair, path) -> str:
    np.savez(path, Sigma0=pair.source, Sigma1=pair.target)
    return str(path)


class TestProblem:
    def test_samples_are_those_of_the_pair_and_the_seed(self) -> None:
        x, y = Problem.of(GAUSSIAN, seed=1, size=20_000).samples()
        assert np.abs(np.cov(x.T) - GAUSSIAN.source).max() < 0.05 * np.abs(GAUSSIAN.source).max()
        assert np.abs(np.cov(y.T) - GAUSSIAN.target).max() < 0.05 * np.abs(GAUSSIAN.target).max()
        again, other = (Problem.of(GAUSSIAN, seed=seed, size=20_000).samples()[0] for seed in (1, 2))
        assert np.array_equal(x, again)
        assert not np.array_equal(x, other)

    def test_two_sides_are_independent(self) -> None:
        x, y = Problem.of(GAUSSIAN, seed=1, size=20_000).samples()
        images = GAUSSIAN.transport(x)
        assert abs(np.corrcoef(images[:, 0], y[:, 0])[0, 1]) < 0.03

    def test_batches_are_fresh_or_go_round(self) -> None:
        source, _ = Problem.of(GAUSSIAN, seed=0).sources()
        stream = batches(source, 1000)
        points = np.concatenate([next(stream) for _ in range(20)])
        assert len(np.unique(points, axis=0)) == 20_000
        source, _ = Problem.of(GAUSSIAN, seed=0, size=500).sources()
        stream = batches(source, 250)
        assert len(np.unique(np.concatenate([next(stream) for _ in range(20)]), axis=0)) == 500

    def test_finite_problems_only_have_samples(self) -> None:
        with pytest.raises(ValueError, match="give it a `size`"):
            Problem.of(GAUSSIAN, seed=0).samples()


class TestClock:
    def test_progress_and_rate(self, monkeypatch) -> None:
        now = [10.0]
        monkeypatch.setattr("brenier_bench.problem.time.perf_counter", lambda: now[0])
        clock = Clock(20.0, started=8.0, reserve=2.0)
        assert clock.elapsed == 2.0
        assert clock.left == 16.0
        now[0] = 14.0
        clock.train()
        assert clock.progress == 0.0
        assert clock.cosine() == 1.0
        now[0] = 20.0
        assert clock.progress == pytest.approx(0.5)
        assert clock.cosine() == pytest.approx(0.5)
        now[0] = 40.0
        assert clock.progress == 1.0
        assert clock.cosine() == 0.0


class TestScore:
    def test_exact_maps_have_no_error(self) -> None:
        problem = Problem.of(GAUSSIAN, seed=0)
        record = score(problem, Fitted(GAUSSIAN.transport, lambda y: y @ np.linalg.inv(GAUSSIAN.matrix).T, steps=7))
        assert record["l2_uvp_forward"] < 1e-20
        assert record["l2_uvp_inverse"] < 1e-20
        assert record["steps"] == 7
        assert not record["diverged"]

    @pytest.mark.parametrize("value", [np.nan, np.inf, 1e6])
    def test_useless_maps_have_diverged(self, value: float) -> None:
        problem = Problem.of(GAUSSIAN, seed=0)
        record = score(problem, Fitted(lambda x: np.full_like(x, value), None))
        assert record["diverged"]
        assert record["l2_uvp_inverse"] is None


class TestMethods:
    def test_each_kind_of_data_has_its_methods(self) -> None:
        assert "emd" not in choose_methods(None, finite=False)
        assert "emd" in choose_methods(None, finite=True)
        assert choose_methods(["enot", "brenier"], finite=False) == ["brenier", "enot"]

    def test_the_limit_brings_brenier_first(self) -> None:
        assert choose_methods(["limit"], finite=False) == ["brenier", "limit"]

    def test_wrong_names(self) -> None:
        with pytest.raises(InputError, match="'sinkhorm' is not known"):
            choose_methods(["sinkhorm"], finite=True)
        with pytest.raises(InputError, match="'emd' needs finite samples: give `--finite N`"):
            choose_methods(["emd"], finite=False)

    def test_what_is_missing_is_named(self) -> None:
        with pytest.raises(InputError, match=r"OTT-JAX is not installed .*pip install 'brenier-bench\[peers\]'"):
            Method("nothing", "fit", "", needs="OTT-JAX").load()

    @pytest.mark.parametrize("name", ["emd", "sinkhorn", "linear", "mapping", "entropic"])
    def test_finite_methods_find_a_gaussian_map(self, name: str) -> None:
        if METHODS[name].needs == "OTT-JAX":
            pytest.importorskip("ott")
        problem = Problem.of(GAUSSIAN, seed=0, size=150)
        fitted = METHODS[name].load()(problem, Clock(1e9, 0.0))
        record = score(problem, fitted)
        # The identity is far off, 150 samples allow a few percent.
        assert record["l2_uvp_forward"] < 8.0
        assert record["l2_uvp_inverse"] is None or record["l2_uvp_inverse"] < 8.0

    @pytest.mark.parametrize(
        ("name", "steps", "bound"),
        [
            ("enot", 300, 8.0),
            pytest.param("enot-defaults", 600, 60.0, marks=pytest.mark.slow),
            pytest.param("w2dual", 300, 8.0, marks=pytest.mark.slow),
            # Its convex networks start at random, and its rate is small.
            pytest.param("w2dual-defaults", 60, np.inf, marks=pytest.mark.slow),
        ],
    )
    def test_peers_learn_from_samplers(self, shared_data, name: str, steps: int, bound: float) -> None:
        pytest.importorskip("ott")
        problem = Problem.of(Wasserstein2Pair.load(shared_data / "w2bench" / "2.npz"), seed=0)
        record = score(problem, METHODS[name].load()(problem, Steps(steps)))
        assert record["l2_uvp_forward"] < bound
        assert record["l2_uvp_inverse"] < bound
        assert steps - 2 <= record["steps"] <= steps

    @pytest.mark.parametrize(("name", "chunks", "bound"), [("minimax", 12, 12.0), ("cycle", 6, 12.0)])
    def test_baselines_improve_on_the_gaussian_map(self, shared_data, name: str, chunks: int, bound: float) -> None:
        # Which is at 14 %, and where both of them start.
        problem = Problem.of(Wasserstein2Pair.load(shared_data / "w2bench" / "2.npz"), seed=0)
        record = score(problem, METHODS[name].load()(problem, Steps(chunks)))
        assert record["l2_uvp_forward"] < bound

    @pytest.mark.parametrize(("max_steps", "batch"), [(None, 4096), (2, 1024)])
    def test_the_limit_has_the_batches_of_the_budget(self, shared_data, max_steps, batch) -> None:
        problem = Problem.of(Wasserstein2Pair.load(shared_data / "w2bench/2.npz"), 0)
        clock = Clock(1000.0, time.perf_counter())
        assert METHODS["limit"].load()(problem, clock, steps=2, max_steps=max_steps).settings["batch"] == batch

    def test_the_limit_takes_the_steps_it_is_given(self, shared_data) -> None:
        problem = Problem.of(Wasserstein2Pair.load(shared_data / "w2bench" / "2.npz"), seed=0)
        record = score(problem, METHODS["limit"].load()(problem, Clock(1.0, 0.0), steps=100))
        assert record["steps"] == 100
        assert record["l2_uvp_forward"] < 2.0


class TestSummary:
    ROWS = (
        {"method": "brenier", "seed": 0, "l2_uvp_forward": 1.0, "l2_uvp_inverse": 2.0, "seconds": 3.0},
        {"method": "brenier", "seed": 1, "l2_uvp_forward": 3.0, "l2_uvp_inverse": 2.0, "seconds": 3.0},
        {"method": "enot", "seed": 0, "l2_uvp_forward": 8.0, "l2_uvp_inverse": 9.0, "seconds": 4.0},
        {"method": "enot", "seed": 1, "l2_uvp_forward": math.nan, "l2_uvp_inverse": 5.0, "diverged": True},
        {"method": "emd", "seed": 0, "failed": "killed"},
        {"method": "emd", "seed": 1, "l2_uvp_forward": 4.0, "l2_uvp_inverse": None, "peak_memory_mb": 100.0},
    )

    def test_medians_ratios_and_spreads(self) -> None:
        ours, enot, emd = summary(self.ROWS)
        assert (ours["forward"], ours["forward_ratio"], ours["forward_spread"]) == (2.0, 1.0, 2.0)
        assert (enot["inverse"], enot["inverse_ratio"], enot["diverged"]) == (7.0, 3.5, 1)
        assert enot["forward"] == math.inf
        assert (emd["forward"], emd["forward_ratio"], emd["inverse"], emd["inverse_ratio"]) == (4.0, 2.0, None, None)
        assert (emd["runs"], emd["diverged"], emd["failed"], emd["peak_memory_mb"]) == (2, 1, "killed", 100.0)


class TestContest:
    def test_failures_are_rows(self, tmp_path) -> None:
        rows = compare(Contest("gaussian", tmp_path / "none.npz", 5.0, [0]), ["brenier", "limit"])
        assert "No such file" in rows[0]["failed"] or "none.npz" in rows[0]["failed"]
        assert rows[1]["failed"] == "needs the number of steps of brenier, which failed"

    def test_a_method_that_never_ends_is_stopped(self, tmp_path, monkeypatch) -> None:
        monkeypatch.setattr(contest, "_GRACE", -0.99)
        rows = compare(Contest("gaussian", tmp_path / "none.npz", 1.0, [0]), ["minimax"])
        assert rows[0]["failed"] == "not done after 0 s"

    def test_worker_scores_a_method(self, tmp_path) -> None:
        path = saved(GAUSSIAN, tmp_path / "pair.npz")
        task = {"method": "linear", "kind": "gaussian", "path": path, "seed": 0, "size": 500, "seconds": 1e9}
        record = worker.run(task, started=0.0)
        assert record["l2_uvp_forward"] < 3.0
        assert record["peak_memory_mb"] > 10.0


class TestCommand:
    def test_table_of_a_finite_pair(self, tmp_path) -> None:
        path = saved(GAUSSIAN, tmp_path / "pair.npz")
        record = as_json(
            "bench", "peers", "--gaussian", path, "--finite", 300, "--seconds", 1000, "--max-steps", 64,
            "--method", "brenier", "--method", "linear",
        )  # fmt: skip
        assert record["problem"] == {"kind": "gaussian", "dim": 2, "finite": 300, "seconds": 1000.0, "seeds": [0]}
        assert [line["method"] for line in record["table"]] == ["brenier", "linear"]
        assert [line["failed"] for line in record["table"]] == [None, None]
        assert all(line["forward"] < 5.0 for line in record["table"])
        assert record["table"][0]["steps"] == 64
        assert record["table"][0]["forward_ratio"] == 1.0

    def test_a_pair_that_is_made_up(self) -> None:
        record = as_json("bench", "peers", "--random", 3, "--finite", 200, "--seconds", 1000, "--method", "linear")
        assert (record["problem"]["kind"], record["problem"]["dim"]) == ("random", 3)
        assert 10.0 < record["table"][0]["forward"] < 50.0

    def test_the_device_is_handed_on(self) -> None:
        record = as_json(
            "bench", "peers", "--random", 2, "--finite", 200, "--seconds", 1000, "--method", "linear", "--device", "tpu"
        )  # fmt: skip
        assert "tpu" in record["table"][0]["failed"]

    def test_needs_one_pair(self) -> None:
        result = CliRunner().invoke(app, ["bench", "peers", "--json"])
        assert result.exit_code == 2
        assert "give one of `--pair FILE.npz`, `--gaussian FILE.npz`" in json.loads(result.stdout)["error"]
