"""Tables of density estimation: small files in the published formats, every step against values computed here.

No test leaves the machine.
"""

import gzip
import hashlib
import importlib.util
import io
import re
import statistics
import sys
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pooch
import pytest
import sklearn.datasets

from asserts import assert_close, assert_same
from brenier import InputError
from brenier_bench.datasets import (
    TabularSet,
    load_bsds300,
    load_gas,
    load_hepmass,
    load_magic,
    load_miniboone,
    load_power,
    load_table,
)
from brenier_bench.datasets.tabular import TABLES, _sources, hepmass

TIGHT = 1e-12


def refuses(load: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load()


def sizes(table: TabularSet) -> list[int]:
    return [len(table.train), len(table.validation), len(table.test)]


def whole(table: TabularSet) -> np.ndarray:
    return np.concatenate([table.train, table.validation, table.test])


def moments(columns: list[list[float]], spread: Callable[[list[float]], float]) -> tuple[np.ndarray, np.ndarray]:
    """Means and deviations column by column, by the standard library."""
    means = [statistics.fmean(column) for column in columns]
    return np.array(means), np.array([spread(column) for column in columns])


def npy(array: np.ndarray, **kwargs: bool) -> bytes:
    content = io.BytesIO()
    np.save(content, array, **kwargs)
    return content.getvalue()


def tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as bundle:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            bundle.addfile(entry, io.BytesIO(content))
    return path


# --- POWER


@pytest.fixture
def measured(rng: np.random.Generator) -> np.ndarray:
    """Rows as of `data.npy`: active, reactive, voltage, intensity, three meters, minute."""
    rows = rng.normal(size=(101, 8)).round(3)
    rows[:, 7] = rng.integers(0, 1440, size=101)
    return rows


def power_text(rows: np.ndarray) -> str:
    lines = ["Date;Time;Global_active_power;Global_reactive_power;Voltage;Global_intensity;Sub_1;Sub_2;Sub_3"]
    for row in rows:
        hour, minute = divmod(int(row[7]), 60)
        lines.append(f"16/12/2006;{hour:02d}:{minute:02d}:00;" + ";".join(f"{value:.3f}" for value in row[:7]))
    # As the original marks gaps: the last field is empty.
    lines.insert(3, "28/4/2007;00:21:00;?;?;?;?;?;?;")
    return "\n".join(lines) + "\n"


class TestPower:
    def expected(self, rows: np.ndarray) -> list[np.ndarray]:
        """The three parts, one step a line."""
        generator = np.random.RandomState(42)
        order = np.arange(len(rows))
        generator.shuffle(order)
        n = len(rows)
        voltage, active = generator.random_sample(n), generator.random_sample(n)
        meters = generator.random_sample(3 * n).reshape(n, 3)
        table = [
            [
                rows[k, 0] + active[i] / 1000,
                rows[k, 2] + voltage[i] / 100,
                *(rows[k, 4 + j] + meters[i, j] for j in range(3)),
                rows[k, 7],
            ]
            for i, k in enumerate(order)
        ]
        # Of 101 rows 10 are for tests, and of the other 91 9 for validation.
        center, scale = moments([list(column) for column in zip(*table[:91], strict=True)], statistics.pstdev)
        return [(np.array(part) - center) / scale for part in (table[:82], table[82:91], table[91:])]

    def test_every_step_from_the_published_rows(self, tmp_path: Path, measured: np.ndarray) -> None:
        (tmp_path / "data.npy").write_bytes(npy(measured))
        result = load_power(tmp_path / "data.npy")
        assert sizes(result) == [82, 9, 10]
        assert result.columns == (
            "global_active_power",
            "voltage",
            "sub_metering_1",
            "sub_metering_2",
            "sub_metering_3",
            "minute_of_day",
        )
        for part, expected in zip((result.train, result.validation, result.test), self.expected(measured), strict=True):
            assert part.dtype == np.float64
            assert_close(part, expected, atol=TIGHT)
        assert (result.name, result.dim, len(result.steps)) == ("POWER", 6, 6)

    @pytest.mark.parametrize("how", ["text", "gz", "zip", "folder"])
    def test_the_original_file(self, tmp_path: Path, measured: np.ndarray, how: str) -> None:
        content = power_text(measured).encode()
        path = tmp_path / "household_power_consumption.txt"
        if how == "zip":
            path = tmp_path / "original.zip"
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
                bundle.writestr("household_power_consumption.txt", content)
        else:
            path.write_bytes(gzip.compress(content) if how == "gz" else content)
        result = load_power(tmp_path if how == "folder" else str(path))
        for part, expected in zip((result.train, result.validation, result.test), self.expected(measured), strict=True):
            assert_close(part, expected, atol=TIGHT)
        assert "missing values" in result.steps[0]

    def test_the_archive_of_the_paper(self, tmp_path: Path, measured: np.ndarray) -> None:
        members = {"data/miniboone/data.npy": npy(np.ones((3, 43))), "data/power/data.npy": npy(measured)}
        path = tar(tmp_path / "data.tar.gz", members)
        assert_close(load_power(path).test, self.expected(measured)[2], atol=TIGHT)
        with tarfile.open(path) as bundle:
            bundle.extractall(tmp_path, filter="data")
        for folder in (tmp_path, tmp_path / "data", tmp_path / "data" / "power"):
            assert_close(load_power(folder).test, self.expected(measured)[2], atol=TIGHT)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("1;2\n", "row 0: 2 columns between semicolons, not 9"),
            ("16/12/2006;noon;1;1;1;1;1;1;1\n", "row 0: 'noon' is no time such as 17:24:00"),
            ("16/12/2006;17:24:00;one;1;1;1;1;1;1\n", "is not the table it should be: could not convert"),
            ("", "has no rows"),
            ("16/12/2006;17:24:00;1;1;1;1;1;1;1\n" * 9, "leaves 9 rows, of which no tenth can be split off"),
        ],
    )
    def test_faults_of_the_original(self, tmp_path: Path, content: str, message: str) -> None:
        (tmp_path / "power.txt").write_text(content)
        refuses(lambda: load_power(tmp_path / "power.txt"), message)

    def test_faults_of_the_published_rows(self, tmp_path: Path) -> None:
        path = tmp_path / "data.npy"
        path.write_bytes(npy(np.ones((20, 43))))
        refuses(lambda: load_power(path), "has 43 columns, not 8. Is it the file of another data set")
        path.write_bytes(npy(np.array([{}], object), allow_pickle=True))
        refuses(lambda: load_power(path), "is not a whole .npy file of numbers: Object arrays cannot be loaded")
        path.write_bytes(npy(np.ones(3)))
        refuses(lambda: load_power(path), r"holds an array of the shape \(3,\) and the type float64")
        path.write_bytes(npy(np.ones((101, 8))))
        refuses(lambda: load_power(path), "column 5 of those that are kept is constant")
        path.write_bytes(b"\xff\xfe\x80")
        refuses(lambda: load_power(path.rename(tmp_path / "power.txt")), "is no text")


# --- GAS


def gas_text(rows: np.ndarray) -> str:
    lines = ["Time (seconds), CO conc (ppm), Ethylene conc (ppm), sensor readings (16 channels)"]
    lines += [" ".join(f"{value:.6f}" for value in row) for row in rows]
    return "\n".join(lines) + "\n"


@pytest.fixture
def sensed(rng: np.random.Generator) -> np.ndarray:
    """404 rows of time, two concentrations and 16 sensors, of which 1, 2 and 3 are alike, and 9 and 16."""
    rows = rng.normal(size=(404, 19))
    rows[:, 0] = np.arange(404)
    rows[:, 4] = rows[:, 3] + 0.05 * rows[:, 4]
    rows[:, 5] = rows[:, 4] + 0.05 * rows[:, 5]
    rows[:, 18] = 3 * rows[:, 11] + 0.05 * rows[:, 18]
    # Close to -1 is no reason to go.
    rows[:, 7] = -rows[:, 6] + 0.05 * rows[:, 7]
    return rows.round(6)


class TestGas:
    def test_every_step(self, tmp_path: Path, sensed: np.ndarray) -> None:
        (tmp_path / "ethylene_CO.txt").write_text(gas_text(sensed))
        result = load_gas(tmp_path / "ethylene_CO.txt")
        # A quarter of 404 rows; one tenth of 101 for tests, one of 91 for validation.
        quarter = sensed[np.random.RandomState(42).permutation(404)[:101]]
        # Sensors 1, 2 and 3 are alike: 1 goes, then 2. Of 9 and 16 the first goes.
        stay = [3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16]
        assert result.columns == tuple(f"sensor_{i}" for i in stay)
        columns = [quarter[:, 2 + i].tolist() for i in stay]
        center, scale = moments(columns, statistics.stdev)
        assert_close(whole(result), (np.array(columns).T - center) / scale, atol=1e-11)
        assert sizes(result) == [82, 9, 10]
        assert "sensor_1, sensor_2, sensor_9 (" in result.steps[2]

    def test_a_pickle_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "ethylene_CO.pickle").write_bytes(b"cos\nsystem\n(S'exit'\ntR.")
        message = r"ethylene_CO.pickle` is a pickle, which can run any code .* original ethylene_CO.txt as `path`"
        refuses(lambda: load_gas(tmp_path / "ethylene_CO.pickle"), message)
        refuses(lambda: load_gas(tmp_path), message)
        path = tar(tmp_path / "data.tar.gz", {"data/gas/ethylene_CO.pickle": b"x"})
        refuses(lambda: load_gas(path), message)

    def test_it_is_not_downloaded(self) -> None:
        message = (
            "`path` is None, but GAS cannot be downloaded .* Download https://archive.ics.uci.edu/static/public/322/"
        )
        refuses(load_gas, message)

    def test_faults(self, tmp_path: Path, sensed: np.ndarray) -> None:
        path = tmp_path / "ethylene_CO.txt"
        path.write_text(gas_text(sensed[:, :18]))
        refuses(lambda: load_gas(path), "has 18 columns, not 19")
        path.write_text(gas_text(sensed[:0]))
        refuses(lambda: load_gas(path), "has no rows")
        path.write_text(gas_text(sensed) + "1 2 3\n")
        refuses(lambda: load_gas(path), "is not the table it should be: the (dtype|number of columns)")


# --- HEPMASS


def hepmass_text(names: list[str], rows: np.ndarray) -> bytes:
    lines = ["# label," + ",".join(names)] + [",".join(repr(float(value)) for value in row) for row in rows]
    return ("\n".join(lines) + "\n").encode()


@pytest.fixture
def collided(rng: np.random.Generator, tmp_path: Path) -> tuple[Path, np.ndarray, np.ndarray]:
    """Folder with two files of four features; the second file has one more."""
    train, test = rng.normal(size=(120, 5)), rng.normal(size=(60, 6))
    train[:, 0], test[:, 0] = np.arange(120) % 2, np.arange(60) % 3 == 1
    # Of the signal, rows 1, 3, 5, ...: the smallest value six times, five times, and a larger value often.
    train[1:13:2, 1] = -9.0
    train[1:11:2, 2] = -9.0
    train[0:120:2, 2] = -9.5
    train[1:61:2, 3] = 9.0
    (tmp_path / "1000_train.csv").write_bytes(hepmass_text(["f0", "f1", "f2", "f3"], train))
    (tmp_path / "1000_test.csv").write_bytes(hepmass_text(["f0", "f1", "f2", "f3", "mass"], test))
    return tmp_path, train, test


class TestHepmass:
    def test_every_step(self, collided: tuple[Path, np.ndarray, np.ndarray]) -> None:
        folder, train, test = collided
        signal = [row[2:].tolist() for row in train if row[0] == 1]
        others = [row[2:5].tolist() for row in test if row[0] == 1]
        center, scale = moments([list(column) for column in zip(*signal, strict=True)], statistics.stdev)
        # 60 rows of signal, of which the last 6 are for validation; 20 of the test file.
        result = load_hepmass(folder)
        assert sizes(result) == [54, 6, 20]
        assert result.columns == ("f1", "f2", "f3")
        assert_close(result.train, (np.array(signal[:54]) - center) / scale, atol=TIGHT)
        assert_close(result.validation, (np.array(signal[54:]) - center) / scale, atol=TIGHT)
        assert_close(result.test, (np.array(others) - center) / scale, atol=TIGHT)
        assert ": f0 (" in result.steps[4]

    def test_the_first_rows_count(
        self, collided: tuple[Path, np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert hepmass._MOST == (700_000, 350_000)
        monkeypatch.setattr(hepmass, "_MOST", (100, 30))
        # Half of 100, and a third of 30.
        assert sizes(load_hepmass(collided[0])) == [45, 5, 10]

    def test_every_way_to_store_the_files(self, collided: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path) -> None:
        folder = collided[0]
        expected = load_hepmass(folder)
        contents = {name: (folder / name).read_bytes() for name in ("1000_train.csv", "1000_test.csv")}
        archive = tar(tmp_path / "a.tar.gz", {f"data/hepmass/{name}": text for name, text in contents.items()})
        bundle = tmp_path / "hepmass.zip"
        with zipfile.ZipFile(bundle, "w") as store:
            for name, text in contents.items():
                store.writestr(f"{name}.gz", gzip.compress(text))
        packed = tmp_path / "packed"
        packed.mkdir()
        for name, text in contents.items():
            (packed / f"{name}.gz").write_bytes(gzip.compress(text))
        for path in (archive, bundle, packed, packed / "1000_test.csv.gz"):
            assert_same(whole(load_hepmass(path)), whole(expected))

    def test_faults(self, collided: tuple[Path, np.ndarray, np.ndarray]) -> None:
        folder, _, test = collided
        second = folder / "1000_test.csv"
        second.write_bytes(hepmass_text(["f0", "f1", "f3", "f2"], test[:, :5]))
        refuses(lambda: load_hepmass(folder), "the columns of `1000_train.csv`, .* are not those of `1000_test.csv`")
        second.write_bytes(hepmass_text(["f0", "f1", "f2", "f3"], test[test[:, 0] == 0, :5]))
        refuses(lambda: load_hepmass(folder), "1000_test.csv` has no rows of class 1")
        second.write_bytes(hepmass_text(["f0", "f1", "f2", "f3"], test[:, :4]))
        refuses(lambda: load_hepmass(folder), "1000_test.csv` has 4 columns, not 5")
        second.write_bytes(b"1,2,3\n1,2,3\n")
        refuses(lambda: load_hepmass(folder), "does not begin with a line of names such as")
        second.unlink()
        refuses(lambda: load_hepmass(folder / "1000_train.csv"), "has no file `1000_test.csv` of HEPMASS. https://arch")

    def test_a_test_file_without_the_extra_column(self, collided: tuple[Path, np.ndarray, np.ndarray]) -> None:
        folder, _, test = collided
        expected = load_hepmass(folder)
        (folder / "1000_test.csv").write_bytes(hepmass_text(["f0", "f1", "f2", "f3"], test[:, :5]))
        assert_same(load_hepmass(folder).test, expected.test)


# --- MINIBOONE


class TestMiniboone:
    def check(self, result: TabularSet, rows: np.ndarray) -> None:
        """The steps from `data.npy` on, of 101 rows."""
        center, scale = moments([column.tolist() for column in rows[:91].T], statistics.pstdev)
        assert sizes(result) == [82, 9, 10]
        assert_close(whole(result), (rows - center) / scale, atol=1e-11)

    def test_the_published_rows(self, tmp_path: Path, rng: np.random.Generator) -> None:
        rows = rng.normal(3.0, 2.0, size=(101, 43))
        (tmp_path / "data.npy").write_bytes(npy(rows))
        result = load_miniboone(tmp_path / "data.npy")
        self.check(result, rows)
        assert result.columns is None
        (tmp_path / "MiniBooNE_PID.txt").write_text("2 0\n")
        self.check(load_miniboone(tmp_path), rows)
        path = tar(tmp_path / "a.tgz", {"data/power/data.npy": npy(rows[:, :8]), "data/miniboone/data.npy": npy(rows)})
        self.check(load_miniboone(path), rows)

    def test_the_original_file(self, tmp_path: Path, rng: np.random.Generator) -> None:
        signal, background = rng.normal(size=(104, 50)), rng.normal(50.0, 1.0, size=(7, 50))
        # Three outliers; 104 - 3 rows stay. The seven columns from 10 on have their smallest value six times.
        signal[[0, 50, 103], 0] = -999.0
        signal[1:7, 10:17] = -9.0
        signal[1:6, 17] = -9.0  # five times
        signal[1:80, 18] = 9.0  # often, but not the smallest
        path = tmp_path / "MiniBooNE_PID.txt"
        lines = [" 104 7"] + ["  " + "  ".join(f"{v:.9e}" for v in row) for row in (*signal, *background)]
        path.write_text("\n".join(lines) + "\n")
        result = load_miniboone(path)
        rows = np.array([[float(f"{v:.9e}") for v in row] for row in signal if row[0] > -100])
        assert rows.shape == (101, 50)
        stay = [j for j in range(50) if Counter(rows[:, j].tolist())[rows[:, j].min()] <= 5]
        assert stay == [*range(10), *range(17, 50)]
        self.check(result, rows[:, stay])
        assert result.columns == tuple(f"pid_{j}" for j in stay)
        assert [step.partition(" ")[0] for step in result.steps[:3]] == ["The", "3", "7"]

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", "does not begin with the numbers of signal and background"),
            ("1 2 3\n", "does not begin with the numbers of signal and background"),
            ("2 0\n" + "1 " * 50 + "\n", "is incomplete: it has 1 of 2 rows of signal"),
            ("1 0\n" + "1 " * 49 + "\n", "has 49 columns, not 50"),
            ("1 0\n" + "-999 " * 50 + "\n", "has no rows but outliers"),
        ],
    )
    def test_faults(self, tmp_path: Path, content: str, message: str) -> None:
        (tmp_path / "MiniBooNE_PID.txt").write_text(content)
        refuses(lambda: load_miniboone(tmp_path), message)


# --- BSDS300


class TestBsds300:
    def write(self, path: Path, parts: dict[str, np.ndarray]) -> None:
        with h5py.File(path, "w") as store:
            for name, part in parts.items():
                store[name] = part

    def test_the_parts_are_those_of_the_file(self, tmp_path: Path, rng: np.random.Generator) -> None:
        lengths = {"train": 5, "validation": 3, "test": 4}
        parts = {name: rng.normal(size=(n, 63)).astype(np.float32) for name, n in lengths.items()}
        path = tmp_path / "BSDS300.hdf5"
        self.write(path, parts)
        archive = tar(tmp_path / "data.tar.gz", {"data/BSDS300/BSDS300.hdf5": path.read_bytes()})
        for place in (path, tmp_path, archive):
            result = load_bsds300(place)
            assert_same(result.train, parts["train"].astype(np.float64))
            assert_same(result.validation, parts["validation"].astype(np.float64))
            assert_same(result.test, parts["test"].astype(np.float64))

    def test_faults(self, tmp_path: Path) -> None:
        path = tmp_path / "BSDS300.hdf5"
        self.write(path, {"train": np.ones((2, 63)), "test": np.ones((2, 63))})
        refuses(lambda: load_bsds300(path), r"has no array 'validation', only \['test', 'train'\]")
        self.write(path, {"train": np.ones((2, 64)), "validation": np.ones((2, 64)), "test": np.ones((2, 64))})
        refuses(lambda: load_bsds300(path), r"the array 'train' has the shape \(2, 64\) .* not 63 columns")
        path.write_bytes(b"no such format")
        refuses(lambda: load_bsds300(path), "is not a whole HDF5 file")

    def test_without_h5py(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        monkeypatch.setitem(sys.modules, "h5py", None)  # makes importing it fail
        refuses(
            lambda: load_bsds300(tmp_path), r'reading BSDS300 needs h5py. Run `pip install "brenier-bench\[tabular\]"`'
        )


# --- MAGIC

MAGIC = "".join(f"{i},2,3,4,5,6,7,8,9,10.5,{'gh'[i % 3 == 0]}\n" for i in range(33))
"""11 hadrons, the rows 0, 3, 6, ..., and 22 gammas."""


class TestMagic:
    @pytest.mark.parametrize("how", ["file", "folder", "zip"])
    def test_by_hand(self, tmp_path: Path, how: str) -> None:
        path = tmp_path / "magic04.data"
        path.write_text(MAGIC)
        if how == "zip":
            path = tmp_path / "magic.zip"
            with zipfile.ZipFile(path, "w") as bundle:
                bundle.writestr("magic04.names", "text")
                bundle.writestr("magic04.data", MAGIC)
        result = load_magic(tmp_path if how == "folder" else path)
        assert_same(result.points, np.array([[i, *range(2, 10), 10.5] for i in range(33)], np.float64))
        assert result.labels.tolist() == [int(i % 3 == 0) for i in range(33)]
        assert (result.names, result.columns[0], result.columns[9]) == (("gamma", "hadron"), "fLength", "fDist")

    def test_faults(self, tmp_path: Path) -> None:
        path = tmp_path / "magic04.data"
        path.write_text(MAGIC + "1,2,3,4,5,6,7,8,9,10,x\n")
        refuses(lambda: load_magic(path), "row 33: the class 'x' is neither 'g' nor 'h'")
        path.write_text("1,2,3,g\n")
        refuses(lambda: load_magic(path), "has 4 columns, not 11")

    def test_the_file_itself(self, shared_data: Path) -> None:
        path = shared_data / "physics" / "magic04.data"
        checksum = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        assert _sources.MAGIC.download is not None
        assert checksum == _sources.MAGIC.download.checksum
        result = load_magic(path)
        assert np.bincount(result.labels).tolist() == [12332, 6688]
        assert result.points[0].tolist() == [
            28.7967, 16.0021, 2.6449, 0.3918, 0.1982, 27.7004, 22.011, -8.2027, 40.092, 81.8828,
        ]  # fmt: skip
        assert sizes(load_table("magic-gamma", path)) == [9866, 1233, 1233]
        assert sizes(load_table("magic-hadron", path)) == [5352, 668, 668]


# --- by name


class TestRegistry:
    def test_the_five_by_name(self, tmp_path: Path, measured: np.ndarray) -> None:
        (tmp_path / "data.npy").write_bytes(npy(measured))
        assert_same(load_table("power", tmp_path).test, load_power(tmp_path).test)
        for name in ("gas", "hepmass", "miniboone", "bsds300"):
            refuses(lambda name=name: load_table(name, tmp_path / "none"), f"does not exist.* of {name.upper()}")

    def test_classes_of_magic(self, tmp_path: Path) -> None:
        (tmp_path / "magic04.data").write_text(MAGIC)
        hadrons, gammas = (load_table(name, tmp_path) for name in ("magic-hadron", "magic-gamma"))
        # 16 and 20 per cent of 11 and 22, rounded down.
        assert sizes(hadrons) == [8, 1, 2]
        assert sizes(gammas) == [15, 3, 4]
        order = np.random.default_rng(0).permutation(11)
        assert whole(hadrons)[:, 0].tolist() == [3.0 * i for i in order]
        assert (whole(gammas)[:, 0] % 3 != 0).all()
        assert hadrons.columns is not None
        assert len(hadrons.columns) == hadrons.dim == 10

    @pytest.mark.parametrize(
        ("name", "load", "parts"),
        [
            ("breast-cancer", sklearn.datasets.load_breast_cancer, [365, 91, 113]),
            ("wine", sklearn.datasets.load_wine, [115, 28, 35]),
            ("diabetes", lambda: sklearn.datasets.load_diabetes(scaled=False), [284, 70, 88]),
        ],
    )
    def test_tables_of_scikit_learn(self, name: str, load: Callable, parts: list[int]) -> None:
        theirs, ours = load(), load_table(name)
        assert sizes(ours) == parts
        assert ours.columns == tuple(theirs.feature_names)
        assert_same(whole(ours), theirs.data[np.random.default_rng(0).permutation(len(theirs.data))])

    def test_faults(self, tmp_path: Path) -> None:
        message = "`name` must be one of power, gas, hepmass, .*, magic-gamma, .*, diabetes; got 'Power'"
        refuses(lambda: load_table("Power"), message)
        refuses(lambda: load_table("wine", tmp_path), "`path` is not for 'wine'")
        (tmp_path / "magic04.data").write_text("1,2,3,4,5,6,7,8,9,10,g\n" * 6)
        refuses(lambda: load_table("magic-gamma", tmp_path), "'magic-gamma' has 6 rows, too few to split")
        assert len(set(TABLES)) == len(TABLES) == 10


# --- files and downloads


class TestFiles:
    def test_paths(self, tmp_path: Path) -> None:
        refuses(
            lambda: load_power(tmp_path / "none"), r"`path` \(.*none\) does not exist, or cannot be read. It is data"
        )
        refuses(
            lambda: load_power(tmp_path), "has no file `data.npy` or `household_power_consumption.txt` of POWER. http"
        )
        refuses(lambda: load_power(tmp_path, cache=tmp_path), "`cache` .* is for downloads, and `path` needs none")
        path = tar(tmp_path / "a.tar.gz", {"x/data.npy": b"", "y/data.npy": b""})
        refuses(lambda: load_power(path), "a.tar.gz` has no file `data.npy`")

    @pytest.mark.parametrize("load", [load_power, load_miniboone, load_bsds300, load_magic])
    def test_pickles_are_refused_everywhere(self, tmp_path: Path, load: Callable) -> None:
        (tmp_path / "data.pickle").write_bytes(b"x")
        refuses(lambda: load(tmp_path / "data.pickle"), "is a pickle")

    def test_damage(self, tmp_path: Path, measured: np.ndarray) -> None:
        path = tmp_path / "power.txt.gz"
        path.write_bytes(gzip.compress(power_text(measured).encode())[:-20])
        refuses(lambda: load_power(path), "is damaged or incomplete: Compressed file ended before")
        bundle = tmp_path / "power.zip"
        bundle.write_bytes(b"PK\x03\x04 and no more")
        refuses(lambda: load_power(bundle), "is damaged or incomplete: File is not a zip file")

    def test_a_file_that_cannot_be_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "data.npy").write_bytes(b"")

        def refuse(*args: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("brenier_bench.datasets.tabular._files.open", refuse, raising=False)
        refuses(lambda: load_power(tmp_path), "cannot be read: Permission denied. Check the path")


class TestDownload:
    @pytest.fixture
    def retrieved(self, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
        """What was asked of pooch, which looks no further than the cache."""
        asked: list[dict[str, object]] = []

        def retrieve(url: str, *, known_hash: str, fname: str, path: Path) -> str:
            asked.append({"url": url, "known_hash": known_hash, "fname": fname})
            if len(asked) == 1:
                raise ValueError("another checksum")
            if not (path / fname).exists():
                raise ValueError("another checksum")
            return str(path / fname)

        monkeypatch.setattr(pooch, "retrieve", retrieve)
        return asked

    def test_the_archive(self, tmp_path: Path, measured: np.ndarray, retrieved: list[dict[str, object]]) -> None:
        (tmp_path / "maf").mkdir()
        tar(tmp_path / "maf" / "data.tar.gz", {"data/power/data.npy": npy(measured)})
        assert sizes(load_table("power", cache=tmp_path)) == [82, 9, 10]
        # The first address was refused.
        assert [each["url"] for each in retrieved] == [
            "https://zenodo.org/record/1161203/files/data.tar.gz",
            "https://zenodo.org/api/records/1161203/files/data.tar.gz/content",
        ]
        assert {each["known_hash"] for each in retrieved} == {"md5:9b9c9b0375315ad270eba4ce80c093ab"}

    def test_a_wrong_checksum(self, tmp_path: Path, retrieved: list[dict[str, object]]) -> None:
        message = (
            "gave a file with another MD5 than 9b9c9b0375315ad270eba4ce80c093ab, which was dropped. Get it by other"
        )
        refuses(lambda: load_power(cache=tmp_path), message)
        refuses(lambda: load_magic(cache=tmp_path), "magic04.data gave a file with another SHA-256 than e9314b7e")

    def test_without_pooch(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        monkeypatch.setitem(sys.modules, "pooch", None)
        message = (
            r'downloading POWER needs pooch. Run `pip install "brenier-bench\[tabular\]"`, or pass a file of POWER as'
        )
        refuses(lambda: load_power(cache=tmp_path), message)

    def test_the_table_of_addresses(self) -> None:
        for source in (_sources.POWER, _sources.HEPMASS, _sources.MINIBOONE, _sources.BSDS300, _sources.MAGIC):
            assert source.download is not None
            assert re.fullmatch("md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", source.download.checksum)
            assert all(re.fullmatch("https://[^ ]+", url) for url in (source.address, *source.download.urls))
