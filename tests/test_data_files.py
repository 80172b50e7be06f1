"""Files of points: exact round trips, complaints that name the line, and writes that are whole or not at all."""

import errno
import importlib.util
import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from brenier._errors import DataWarning, InputError
from brenier.files.atomic import atomic_write, check_writable
from brenier.files.points import read_points, write_points

SUFFIXES = [".npy", ".npz", ".csv", ".tsv", ".parquet"]
VALUES = np.array([[1.0, 0.1], [-2.5e-300, 3.0], [1 / 3, 1e90]])

points = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 4), st.integers(1, 3)),
    elements=st.floats(-1e99, 1e99, allow_subnormal=True),
)
names = st.lists(
    st.text("abcü ,;\"'\n\t0", min_size=1).map(lambda text: f"n{text}n"), min_size=3, max_size=3, unique=True
)
one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def refuses(path: Path, message: str, key: str | None = None) -> None:
    with pytest.raises(InputError, match=message):
        read_points(path, key)


class TestRoundTrips:
    @pytest.mark.parametrize("suffix", SUFFIXES)
    @one_folder
    @given(values=points)
    def test_every_digit_survives(self, tmp_path: Path, suffix: str, values: np.ndarray) -> None:
        path = tmp_path / f"points{suffix}"
        write_points(path, values, ["a", "b", "c"][: values.shape[1]])
        result = read_points(path).values
        assert result.tobytes() == np.ascontiguousarray(values).tobytes()

    @pytest.mark.parametrize("suffix", [".npz", ".csv", ".tsv", ".parquet"])
    @one_folder
    @given(columns=names)
    def test_names_survive(self, tmp_path: Path, suffix: str, columns: list[str]) -> None:
        path = tmp_path / f"points{suffix}"
        write_points(path, np.ones((2, 3)), columns)
        assert read_points(path).columns == columns

    @pytest.mark.parametrize("suffix", [*SUFFIXES, ".CSV", ".NPY"])
    @pytest.mark.parametrize("dtype", [np.float32, np.int64])
    def test_other_types(self, tmp_path: Path, suffix: str, dtype: type) -> None:
        path = tmp_path / f"points{suffix}"
        write_points(str(path), VALUES[:, :1].astype(dtype))
        np.testing.assert_array_equal(read_points(str(path)).values, VALUES[:, :1].astype(dtype))
        assert [entry.name for entry in tmp_path.iterdir()] == [path.name]

    def test_nameless_columns(self, tmp_path: Path) -> None:
        for suffix, expected in zip(SUFFIXES, [None, None, None, None, ["x0", "x1"]], strict=True):
            write_points(tmp_path / f"points{suffix}", VALUES)
            assert read_points(tmp_path / f"points{suffix}").columns == expected

    def test_names_that_read_as_numbers_are_left_out_of_text(self, tmp_path: Path) -> None:
        write_points(tmp_path / "points.csv", VALUES, ["7", "8"])
        result = read_points(tmp_path / "points.csv")
        np.testing.assert_array_equal(result.values, VALUES)
        assert result.columns is None

    def test_strided_and_reversed_values(self, tmp_path: Path) -> None:
        for suffix in SUFFIXES:
            write_points(tmp_path / f"points{suffix}", VALUES[::-1, ::-1])
            np.testing.assert_array_equal(read_points(tmp_path / f"points{suffix}").values, VALUES[::-1, ::-1])


class TestText:
    @pytest.mark.parametrize(
        ("text", "columns"),
        [
            ("1,2\n3,4\n", None),
            ("1,2\r\n3,4", None),
            ("\ufeffa,b\n1,2\n\n3,4\n\n", ["a", "b"]),
            ('"a", b \n1, 2\n3,4.0\n', ["a", "b"]),
            ("2019,b\n1,2\n3,4\n", ["2019", "b"]),
            ("na,b\n1,2\n3,4\n", ["na", "b"]),
            ("na,none\n1,2\n3,4\n", ["na", "none"]),
        ],
    )
    def test_headers(self, tmp_path: Path, text: str, columns: list[str] | None) -> None:
        result = read_points(write(tmp_path / "points.csv", text))
        np.testing.assert_array_equal(result.values, [[1.0, 2.0], [3.0, 4.0]])
        assert result.columns == columns

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "points.csv` has no rows of numbers. Is it the right file?"),
            ("\n\n", "has no rows of numbers"),
            ("a,b\n", "has no rows of numbers"),
            ("a,b\n1,2\n3,cat\n", "points.csv`, line 3, column `b`: 'cat' is not a number. Drop or encode the column"),
            ("1,2\n\n3,cat\n", "line 3, column 2: 'cat' is not a number"),
            ("1,2\n3,\n", r"points.csv` contains NaN \(column 1: 1 of 2 rows\), in rows 1"),
            ("1,NA\n3,4\n", r"contains NaN \(column 1: 1 of 2 rows\), in rows 0"),
            ("a,b\n1,\n,?\n3,4\n,5\n", r"contains NaN \(`a` 2, `b` 2 of 4 rows\), in rows 0, 1, 3"),
            ("a,b\n1,\n3,cat\n", "line 3, column `b`: 'cat' is not a number"),
            ("a;b\n1,5;2\n", "line 2: 2 fields where the lines before have 1. Fields are separated by ','"),
            ("a;b\n1;2\n", "'1;2' is not a number. .* The decimal mark must be a point, the separator a comma"),
            ("a,b\n1,2\n3,4,5\n", "line 3: 3 fields where the lines before have 2"),
            ("1,2\n3\n", "line 2: 1 fields where"),
            (",a\n0,1\n", "column 1 has no name. If it is an index, write the file without it"),
            ('1,2\n"3,4\n', "points.csv`, after line 2: unexpected end of data. Save it as plain UTF-8 text"),
            ("a\n1\nnan\n", r"points.csv` contains NaN \(`a` 1 of 2 rows\), in rows 1"),
            ("1\n-inf\n", "contains infinity"),
        ],
    )
    def test_refusals(self, tmp_path: Path, text: str, message: str) -> None:
        refuses(write(tmp_path / "points.csv", text), message)

    def test_other_encodings(self, tmp_path: Path) -> None:
        path = tmp_path / "points.csv"
        path.write_bytes("a,b\n1,2\n".encode("utf-16"))
        refuses(path, "points.csv`, after line 0: 'utf-8' codec .* Save it as plain UTF-8 text")

    def test_a_header_of_counted_columns_warns(self, tmp_path: Path) -> None:
        pd.DataFrame(VALUES).to_csv(tmp_path / "points.csv", index=False)
        with pytest.warns(
            DataWarning, match=r"first row of `.*points.csv` reads 0,1... and is taken as a point"
        ) as caught:
            result = read_points(tmp_path / "points.csv")
        assert result.values.shape == (4, 2)
        assert caught[0].filename == __file__

    def test_tabs(self, tmp_path: Path) -> None:
        assert read_points(write(tmp_path / "points.tsv", "a\tb\n1\t2\n")).columns == ["a", "b"]
        refuses(write(tmp_path / "points.tsv", "1,2\n"), "has no rows of numbers")


class TestArchives:
    def test_a_key_chooses(self, tmp_path: Path) -> None:
        path = tmp_path / "points.npz"
        np.savez(path, first=VALUES, second=2 * VALUES)
        np.testing.assert_array_equal(read_points(path, "second").values, 2 * VALUES)
        refuses(path, r"points.npz` holds 2 arrays \(first, second\). Choose one with `key`")
        refuses(path, r"points.npz` has no array of points named 'third' \(`key`\); it has first, second", "third")

    def test_an_archive_without_arrays(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "points.npz")
        refuses(tmp_path / "points.npz", "holds 0 arrays")

    def test_names_must_fit(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "points.npz", points=VALUES, columns=np.array(["a", "b", "c"]))
        refuses(
            tmp_path / "points.npz", r"`columns` of shape \(3,\) does not name the columns of `points`, which has shape"
        )

    def test_a_key_for_another_format(self, tmp_path: Path) -> None:
        write_points(tmp_path / "points.npy", VALUES)
        refuses(
            tmp_path / "points.npy",
            r"`key` \('a'\) selects an array of an .npz archive; `.*points.npy` is not one",
            "a",
        )


class TestDamage:
    @pytest.mark.parametrize("suffix", [".npy", ".npz", ".parquet"])
    @pytest.mark.parametrize("damage", [lambda whole: whole[:-9], lambda whole: b"", lambda whole: b"1,2\n3,4\n" * 9])
    def test_binary_files(self, tmp_path: Path, suffix: str, damage: Callable[[bytes], bytes]) -> None:
        path = tmp_path / f"points{suffix}"
        write_points(path, VALUES)
        path.write_bytes(damage(path.read_bytes()))
        refuses(path, f"points{suffix}` (is not a whole .*{suffix} .*Write it again|cannot be read)")

    def test_pickles_are_never_opened(self, tmp_path: Path) -> None:
        np.save(tmp_path / "points.npy", np.array([[object()]]), allow_pickle=True)
        np.savez(tmp_path / "points.npz", points=np.array([[object()]]), allow_pickle=True)
        refuses(tmp_path / "points.npy", "Object arrays cannot be loaded")
        refuses(tmp_path / "points.npz", "Object arrays cannot be loaded", "points")

    def test_a_flipped_byte_in_an_archive(self, tmp_path: Path) -> None:
        path = tmp_path / "points.npz"
        write_points(path, VALUES)
        whole = path.read_bytes()
        place = whole.index(VALUES.tobytes())
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        refuses(path, "points.npz` is not a whole .npz archive of numbers: Bad CRC-32")

    def test_not_a_table(self, tmp_path: Path) -> None:
        np.save(tmp_path / "points.npy", np.ones(4))
        refuses(tmp_path / "points.npy", r"points.npy` must be 2-D, .* got shape \(4,\)")


class TestParquet:
    def test_the_index_of_a_frame_is_left_out(self, tmp_path: Path) -> None:
        frame = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]}, index=["u", "v"])
        frame.to_parquet(tmp_path / "points.parquet")
        assert read_points(tmp_path / "points.parquet").columns == ["a", "b"]

    def test_text_columns(self, tmp_path: Path) -> None:
        pd.DataFrame({"a": [1.0, 2.0], "kind": ["g", "h"]}).to_parquet(tmp_path / "points.parquet")
        refuses(tmp_path / "points.parquet", "points.parquet` has columns of text, dates or lists: `kind`")

    def test_without_pyarrow(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write_points(tmp_path / "points.parquet", VALUES)
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        message = r'points.parquet`: .parquet files need pyarrow. Run `pip install "brenier\[parquet\]"`'
        refuses(tmp_path / "points.parquet", message)
        with pytest.raises(InputError, match=message):
            write_points(tmp_path / "points.parquet", VALUES)


class TestPaths:
    def test_missing_files_and_folders(self, tmp_path: Path) -> None:
        refuses(tmp_path / "none.npy", "none.npy` cannot be read: No such file or directory. Check the path")
        (tmp_path / "folder.csv").mkdir()
        refuses(tmp_path / "folder.csv", "folder.csv` cannot be read: Is a directory")

    def test_unknown_suffixes(self, tmp_path: Path) -> None:
        message = "points.txt` must end in .npy, .npz, .csv, .tsv, .parquet, .h5ad; got '.txt'"
        refuses(tmp_path / "points.txt", message)
        with pytest.raises(InputError, match=message):
            write_points(tmp_path / "points.txt", VALUES)

    @pytest.mark.parametrize(
        ("values", "columns", "message"),
        [
            (
                np.ones(3),
                None,
                r"`values` must be a 2-D array of numbers .* got shape \(3,\), dtype float64",
            ),
            (np.array([["a"]]), None, "got shape .* dtype <U1"),
            (np.ones((2, 2), complex), None, "numbers of at most 64 bits; got shape .* dtype complex128"),
            pytest.param(
                np.ones((2, 2), np.longdouble),
                None,
                "got shape .* dtype float",
                marks=pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="is float64 here"),
            ),
            (VALUES, ["a"], "`columns` must name 2 columns, as in `values`; got 1 names"),
        ],
    )
    def test_values_that_cannot_be_written(
        self, tmp_path: Path, values: np.ndarray, columns: list[str] | None, message: str
    ) -> None:
        with pytest.raises(InputError, match=message):
            write_points(tmp_path / "points.csv", values, columns)
        assert not list(tmp_path.iterdir())


class TestAtomicWrites:
    @staticmethod
    def interrupt(path: Path, error: BaseException) -> None:
        with atomic_write(path) as handle:
            handle.write(b"half of the n")
            raise error

    @pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
    def test_a_failure_leaves_the_old_file_and_nothing_else(self, tmp_path: Path, error: type[BaseException]) -> None:
        path = write(tmp_path / "out.bin", "old")
        with pytest.raises(error):
            self.interrupt(path, error())
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]

    def test_the_old_file_stays_until_the_end(self, tmp_path: Path) -> None:
        path = write(tmp_path / "out.bin", "old")
        with open(path) as reader:
            with atomic_write(path) as handle:
                handle.write(b"new")
                handle.flush()
                assert path.read_text() == "old"
            assert reader.read() == "old"  # who has the file open keeps it whole
        assert path.read_text() == "new"
        assert list(tmp_path.iterdir()) == [path]

    def test_a_full_disk(self, tmp_path: Path) -> None:
        path = tmp_path / "out.bin"
        with pytest.raises(InputError, match=r"out.bin` cannot be written: No space left on device"):
            self.interrupt(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        assert not list(tmp_path.iterdir())

    def test_permissions_are_those_of_the_old_file_or_the_default(self, tmp_path: Path) -> None:
        default = stat.S_IMODE(write(tmp_path / "plain", "").stat().st_mode)
        old = write(tmp_path / "old", "")
        old.chmod(0o640)
        for path, mode in [(tmp_path / "new", default), (old, 0o640)]:
            with atomic_write(path) as handle:
                handle.write(b"bytes")
            assert stat.S_IMODE(path.stat().st_mode) == mode

    def test_links_stay_links(self, tmp_path: Path) -> None:
        target = write(tmp_path / "target", "old")
        (tmp_path / "link").symlink_to(target)
        with atomic_write(tmp_path / "link") as handle:
            handle.write(b"new")
        assert (tmp_path / "link").is_symlink()
        assert target.read_text() == "new"

    @pytest.mark.parametrize("attempt", [check_writable, lambda path: write_points(path, VALUES)])
    def test_targets_that_cannot_be_written(
        self, tmp_path: Path, attempt: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "folder.npy").mkdir()
        os.mkfifo(tmp_path / "pipe.npy")
        read_only = write(tmp_path / "read-only.npy", "old")
        before = sorted(tmp_path.iterdir())
        for path, message in [
            (tmp_path / "folder.npy", "folder.npy` is a folder. Name a file in it"),
            (tmp_path / "none" / "out.npy", "out.npy` cannot be written: there is no folder `.*none`. Create it first"),
            (read_only / "out.npy", "out.npy` cannot be written: there is no folder"),
            (tmp_path / "pipe.npy", "pipe.npy` is not an ordinary file, and would be replaced by one"),
            (tmp_path / f"{'n' * 300}.npy", "n.npy` cannot be written: File name too long. Name another file"),
        ]:
            with pytest.raises(InputError, match=message):
                attempt(path)
        monkeypatch.setattr(os, "access", lambda path, mode: False)
        with pytest.raises(InputError, match=r"read-only.npy` is read-only. Change its permissions"):
            attempt(read_only)
        assert sorted(tmp_path.iterdir()) == before
        assert read_only.read_text() == "old"

    def test_a_folder_without_permission(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*args: object, **options: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(Path, "touch", refuse)
        with pytest.raises(InputError, match=r"out.npy` cannot be written: Permission denied"):
            check_writable(tmp_path / "out.npy")

    def test_a_writable_target_is_left_as_it_was(self, tmp_path: Path) -> None:
        check_writable(tmp_path / "new.npy")
        assert not list(tmp_path.iterdir())
        path = write(tmp_path / "old.npy", "old")
        check_writable(path)
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]
