"""`brenier bench tabular`: numbers against hand computation, peers against a loop, and errors that say what to do."""

import itertools
import json
import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import KFold
from sklearn.neighbors import KernelDensity
from typer.testing import CliRunner

from asserts import assert_close, assert_same
from brenier import BrenierDensity, InputError
from brenier.cli.app import app
from brenier.density.bases import Normal
from brenier.metrics import sliced_w2
from brenier_bench import tabular, tabular_peers
from brenier_bench.datasets import TabularSet
from brenier_bench.datasets.tabular import TABLES, load_table
from brenier_bench.published import PUBLISHED
from brenier_bench.tabular import bench_tabular, normal_nll, otflow_mmd, prepare
from brenier_bench.tabular_peers import Peer, compare_peers, run_peer
from commands import as_json, run

STEPS, SEED = 128, 3

MIXTURE = Peer(
    "GaussianMixture",
    lambda seed: GaussianMixture(random_state=seed),
    lambda _: {"n_components": [1, 2, 8], "reg_covar": [1e-6, 1e-1]},
)
KERNEL = Peer(
    "KernelDensity", lambda _: KernelDensity(), lambda spread: {"bandwidth": [0.03 * spread, 0.3 * spread, 3 * spread]}
)
BROKEN = Peer("Broken", lambda _: GaussianMixture(covariance_type="none"), lambda _: {"n_components": [1]})

FIELDS = {
    "name": "magic-hadron",
    "dim": 10,
    "rows": {"train": 320, "validation": 80, "test": 100},
    "fitted_to": "train and validation",
    "units": "standard deviations of the training rows",
    "points": 100,
    "mmd_statistic": "V",
    "seed": SEED,
    "device": "cpu",
    "published": None,
    "steps": STEPS,
    "gaussian": False,
}
NUMBERS = (
    "nll nll_error nll_normal log_volume mmd mmd_floor sliced_w2_samples sliced_w2_samples_floor sliced_w2_image "
    "sliced_w2_image_floor parameters peak_memory_mb"
).split()
GROUPS = {
    "distance": {"points", "w2", "population_lower", "lower", "upper", "confidence", "unconverged"},
    "inverse": {"max", "mean", "unconverged"},
    "seconds": {"fit", "evaluation"},
}


@pytest.fixture(scope="module")
def magic(tmp_path_factory) -> str:
    """A file like that of MAGIC: skewed, in very different units."""
    x = np.exp(np.random.default_rng(0).standard_normal((500, 10)))
    rows = 5.0 + x * np.geomspace(0.01, 100.0, 10)
    path = tmp_path_factory.mktemp("magic") / "magic04.data"
    path.write_text("".join(",".join(map(repr, row)) + ",h\n" for row in rows.tolist()))
    return str(path)


@pytest.fixture(scope="module")
def record(magic) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tabular_peers, "PEERS", (MIXTURE, KERNEL, BROKEN))
        options = ("--data", "magic-hadron", "--path", magic, "--seed", SEED, "--max-steps", STEPS, "--compare")
        return as_json("bench", "tabular", *options)


@pytest.fixture(scope="module")
def fitted(magic) -> tuple[BrenierDensity, np.ndarray, np.ndarray]:
    """The same fit by hand, with the rows that it learned from and those of the test."""
    table = load_table("magic-hadron", magic)
    mean, deviation = table.train.mean(axis=0), table.train.std(axis=0)
    rows = (np.concatenate([table.train, table.validation]) - mean) / deviation
    density = BrenierDensity(max_steps=STEPS, random_state=SEED).fit(rows)
    return density, rows, (table.test - mean) / deviation


class TestRecord:
    def test_fields(self, record) -> None:
        assert {name: record[name] for name in FIELDS} == FIELDS
        assert all(math.isfinite(record[name]) for name in NUMBERS)
        for group, names in GROUPS.items():
            assert set(record[group]) == names
            assert all(math.isfinite(value) for value in record[group].values())
        assert {"brenier", "jax", "numpy", "scikit-learn", "python"} <= set(record["versions"])
        assert record["settings"]["max_steps"] == STEPS

    def test_the_network_beats_the_normal_distribution(self, record) -> None:
        assert record["nll"] < record["nll_normal"] - 1.0
        assert record["parameters"] > 1000

    def test_likelihoods_by_hand(self, record, fitted) -> None:
        density, rows, test = fitted
        values = -density.score_samples(test)
        assert record["nll"] == pytest.approx(-density.score(test), rel=1e-12)
        assert record["nll_error"] == pytest.approx(values.std(ddof=1) / 10.0, rel=1e-12)
        normal = scipy.stats.multivariate_normal(rows.mean(axis=0), np.cov(rows.T, bias=True))
        assert record["nll_normal"] == pytest.approx(-normal.logpdf(test).mean(), rel=1e-9)

    def test_discrepancies_by_hand(self, record, fitted) -> None:
        """All 100 test rows are compared, so that their order does not matter."""
        density, rows, test = fitted
        samples = density.map_.sample(100, seed=SEED)
        assert record["mmd"] == pytest.approx(direct_mmd(samples, test), rel=1e-9)
        assert record["sliced_w2_samples"] == pytest.approx(sliced_w2(samples, test, scale=rows.std(axis=0)), rel=1e-9)
        # The floors: two samples of 100 in 10 dimensions, of one distribution.
        assert record["mmd_floor"] == pytest.approx(0.02, rel=0.2)
        assert 0.1 < record["sliced_w2_samples_floor"] < 0.5
        assert 0.1 < record["sliced_w2_image_floor"] < 0.4

    def test_what_is_compared(self, record, fitted, magic, monkeypatch) -> None:
        density, _, test = fitted
        pairs = []
        monkeypatch.setattr(tabular, "sliced_w2", lambda x, y, **_: pairs.append((x, y)) or float(len(pairs)))
        rows = prepare(load_table("magic-hadron", magic))
        found = tabular.measure(density.map_, rows, SEED)
        names = [f"sliced_w2_{side}" for side in ("samples", "samples_floor", "image", "image_floor")]
        (samples, first), (train, second), (image, draws), (others, same) = (
            pairs[int(found[name]) - 1] for name in names
        )
        assert_same(samples, density.map_.sample(100, seed=SEED))
        for points in (first, second):
            assert_same(np.sort(points[:, 0]), np.sort(test[:, 0]))
        assert set(train[:, 0]) <= set(rows.train[:, 0])
        assert_close(image, density.map_.forward(first), rtol=1e-6)
        assert_same(draws, same)
        base = Normal.read(density.map_.info["base"])
        for points in (draws, others):
            assert scipy.stats.kstest(((points - base.mean) / base.deviation).ravel(), "norm").pvalue > 1e-3
        assert not np.isin(draws, others).any()

    def test_inverse_and_distance(self, record, fitted) -> None:
        density, rows, test = fitted
        back = density.map_.inverse(density.map_.forward(test))
        errors = np.linalg.norm((back - test) / rows.std(axis=0), axis=1)
        assert record["inverse"] == pytest.approx({"max": errors.max(), "mean": errors.mean(), "unconverged": 0.0})
        assert 0.0 < errors.max() < 1e-3
        distance = record["distance"]
        assert distance["points"] == 100
        assert distance["lower"] <= distance["upper"]
        assert distance["population_lower"] <= distance["w2"]

    def test_peers(self, record) -> None:
        mixture, kernel, broken = record["peers"]
        for row, name in ((mixture, "GaussianMixture"), (kernel, "KernelDensity")):
            assert row["method"] == name
            assert row["rows"] == 400
            assert row["chosen"] == "3-fold cross-validation"
            assert math.isfinite(row["nll"] + row["nll_error"])
        assert broken["method"] == "Broken"
        assert "All the 3 fits failed" in broken["failed"]
        assert "covariance_type" in broken["failed"]

    def test_for_people(self, record, monkeypatch) -> None:
        monkeypatch.setattr(tabular, "bench_tabular", lambda *_, **__: record)
        result = run("bench", "tabular", "--data", "wine", "--compare")
        out = result.stdout
        assert f"NLL              {record['nll']:.4f} ± " in out
        assert "320 and 80 to learn from, 100 to test" in out
        lines = {line.split()[0]: line for line in out.splitlines()}
        assert lines["GaussianMixture"].split()[1] == f"{record['peers'][0]['nll']:.4f}"
        assert lines["brenier"].split()[1] == f"{record['nll']:.4f}"
        assert lines["Broken"].split()[1] == "failed"
        assert "Broken: ValueError" in result.stderr


class TestUnits:
    def test_published_tables_are_used_as_loaded(self, magic) -> None:
        table = load_table("magic-hadron", magic)
        as_loaded = prepare(table._replace(name="POWER"))
        for field in ("train", "validation", "test"):
            assert_same(getattr(as_loaded, field), getattr(table, field))
        assert (as_loaded.units, as_loaded.log_volume) == ("as published", 0.0)

    def test_published_results_are_in_the_record(self, magic) -> None:
        table = load_table("magic-hadron", magic)._replace(name="POWER")
        record = bench_tabular(table, seed=SEED, max_steps=STEPS)
        assert [each["method"] for each in record["published"]] == ["OT-Flow", "FFJORD"]
        assert record["published"][0]["parameters"] > 10_000
        assert record["units"] == "as published"
        assert "peers" not in record
        # Each column has other units here: distances of the samples are in standard deviations all the same.
        assert record["sliced_w2_samples"] < 1.0
        assert record["sliced_w2_image"] < 1.0

    def test_volumes_lead_back_to_the_units_of_the_loader(self, magic) -> None:
        table = load_table("magic-hadron", magic)
        rows = prepare(table)
        assert_close(rows.train.mean(axis=0), np.zeros(10), atol=1e-9)
        assert_close(rows.train.std(axis=0), np.ones(10), rtol=1e-9)
        raw = np.concatenate([table.train, table.validation])
        assert normal_nll(rows.fitted, rows.test) + rows.log_volume == pytest.approx(
            normal_nll(raw, table.test), rel=1e-9
        )

    def test_constant_columns(self, rng) -> None:
        rows = rng.standard_normal((30, 3))
        rows[:20, 1] = 2.0
        with pytest.raises(InputError, match="column 1 of 'wine' is constant in the training rows"):
            prepare(TabularSet("wine", None, rows[:20], rows[20:25], rows[25:], ()))


class TestNumbers:
    def test_mmd_of_otflow(self, rng) -> None:
        x, y = rng.standard_normal((7, 3)), 0.5 + rng.standard_normal((5, 3))
        assert otflow_mmd(x, y) == pytest.approx(direct_mmd(x, y), rel=1e-12)
        # One point each, at distance one, by hand.
        assert otflow_mmd(np.zeros((1, 1)), np.ones((1, 1))) == pytest.approx(2.0 - 2.0 * math.exp(-1.0))

    @pytest.mark.parametrize("dim", [1, 4])
    def test_normal_baseline(self, dim, rng) -> None:
        rows, test = (3.0 + rng.standard_normal((n, dim)) @ rng.standard_normal((dim, dim)) for n in (60, 20))
        normal = scipy.stats.multivariate_normal(rows.mean(axis=0), np.cov(rows.T, bias=True))
        assert normal_nll(rows, test) == pytest.approx(-normal.logpdf(test).mean(), rel=1e-9)

    def test_singular_baseline(self) -> None:
        rows = np.eye(4)[:, :1].repeat(2, axis=1)
        assert math.isnan(normal_nll(rows, rows))


class TestPeers:
    @pytest.fixture
    def parts(self, rng) -> list[np.ndarray]:
        """Two clusters, which one component fits badly and eight fit too well."""
        return [0.3 * rng.standard_normal((n, 2)) + 2.0 * rng.integers(2, size=(n, 1)) for n in (61, 30, 40)]

    @pytest.mark.parametrize("crossed", [True, False])
    @pytest.mark.parametrize("peer", [MIXTURE, KERNEL], ids=lambda peer: peer.name)
    def test_the_best_point_of_the_grid_is_chosen(self, peer, crossed, parts, monkeypatch) -> None:
        monkeypatch.setattr(tabular_peers, "_CROSS_VALIDATED", 92 if crossed else 91)
        train, validation, test = parts
        both = np.concatenate([train, validation])
        splits = [(train, validation)]
        if crossed:
            splits = [(both[a], both[b]) for a, b in KFold(3, shuffle=True, random_state=SEED).split(both)]
        grid = peer.grid(math.sqrt(both.var(axis=0).mean()))
        best, largest = {}, -math.inf
        for values in itertools.product(*grid.values()):
            settings = dict(zip(grid, values, strict=True))
            scores = [
                peer.create(SEED).set_params(**settings).fit(learned).score_samples(judged).mean()
                for learned, judged in splits
            ]
            if np.mean(scores) > largest:
                best, largest = settings, np.mean(scores)
        row = run_peer(peer, train, validation, test, SEED)
        assert row["settings"] == pytest.approx(best)
        model = peer.create(SEED).set_params(**best).fit(both)
        assert row["nll"] == pytest.approx(-model.score_samples(test).mean(), rel=1e-9)
        assert row["chosen"] == ("3-fold cross-validation" if crossed else "validation rows")
        assert row["at_edge"] == [key for key, value in best.items() if value in (min(grid[key]), max(grid[key]))]

    def test_the_grids_contain_what_fits(self, parts, monkeypatch) -> None:
        monkeypatch.setattr(tabular_peers, "_CROSS_VALIDATED", 0)  # a third of the fits
        mixture, kernel = compare_peers(*parts, SEED)
        assert mixture["settings"]["n_components"] == 2
        assert mixture["at_edge"] in ([], ["reg_covar"])
        assert kernel["at_edge"] == []
        assert mixture["nll"] < kernel["nll"]

    @pytest.mark.parametrize(
        ("widths", "edge"), [([0.01, 0.3], ["bandwidth"]), ([0.3, 3.0], ["bandwidth"]), ([0.01, 0.3, 3.0], [])]
    )
    def test_choices_at_the_edge_of_a_grid_are_named(self, widths, edge, parts) -> None:
        row = run_peer(Peer("Kernel", KERNEL.create, lambda _: {"bandwidth": widths}), *parts, SEED)
        assert row["settings"] == {"bandwidth": 0.3}
        assert row["at_edge"] == edge

    def test_the_last_fit_has_as_many_rows_as_are_affordable(self, parts) -> None:
        peer = Peer("KernelDensity", KERNEL.create, KERNEL.grid, most=50)
        assert run_peer(peer, *parts, SEED)["rows"] == 50
        assert run_peer(KERNEL, *parts, SEED)["rows"] == 91

    def test_a_choice_without_finite_likelihoods_fails(self, parts) -> None:
        narrow = Peer("Narrow", lambda _: KernelDensity(kernel="tophat"), lambda _: {"bandwidth": [1e-9, 1e-8]})
        row = run_peer(narrow, *parts, SEED)
        assert row == {"method": "Narrow", "failed": "ValueError: no setting gave a finite likelihood"}


class TestErrors:
    def fails(self, *arguments: str) -> str:
        result = CliRunner().invoke(app, ["bench", "tabular", *arguments, "--json"])
        assert result.exit_code == 2
        return json.loads(result.stdout)["error"]

    def test_unknown_names(self) -> None:
        error = self.fails("--data", "Power")
        assert "`--data` must be one of" in error
        assert all(name in error for name in TABLES)
        assert "'Power'" in error

    def test_tables_without_a_file(self, magic) -> None:
        assert "`--path` is not for 'wine'" in self.fails("--data", "wine", "--path", magic)

    def test_missing_files(self, tmp_path) -> None:
        assert "does not exist" in self.fails("--data", "gas", "--path", str(tmp_path / "none"))


def direct_mmd(x: np.ndarray, y: np.ndarray) -> float:
    """The V-statistic of the squared discrepancy with the kernel exp(-|x - y|^2), kernel by kernel."""

    def mean(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.mean([[math.exp(-sum((p - q) ** 2)) for q in b] for p in a]))

    return mean(x, x) + mean(y, y) - 2.0 * mean(x, y)


def test_published_numbers() -> None:
    assert list(PUBLISHED) == ["POWER", "GAS", "HEPMASS", "MINIBOONE", "BSDS300"]
    for name, (dim, width) in {"POWER": (6, 128), "GAS": (8, 350), "BSDS300": (63, 512)}.items():
        otflow = PUBLISHED[name][0]
        shapes = [(min(10, dim + 1), dim + 1), (1, dim + 1), (1,), (width,)]  # the quadratic and affine parts, weights
        shapes += [(width, dim + 1), (width,), (width, width), (width,)]  # two layers
        assert otflow.method == "OT-Flow"
        assert otflow.parameters == sum(int(np.prod(shape)) for shape in shapes)
