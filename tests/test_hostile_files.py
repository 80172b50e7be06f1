"""What fuzzing found, each with a small file: refused by name, without memory, and without a look at other files."""

import json
import os
import struct
import tracemalloc
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet
from safetensors.numpy import load as read_tensors
from safetensors.numpy import save as to_bytes

from brenier import InputError, MapFileError, TransportMap
from brenier.data import memory
from brenier.data.conditions import label_text
from brenier.files import Asked, open_rows, read_points
from brenier.files.images import read_image
from brenier.files.points import read_with_conditions
from brenier.maps import mapfile
from brenier_bench.datasets._compressed import read_decompressed
from brenier_bench.datasets.tabular import load_magic
from fuzz.corpus import FORMATS, VALUES, corpus, npy, npz

FIELDS = "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }"


def header(text: str, version: int = 1) -> bytes:
    head = text.encode("latin1") + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(head)) + head


def refused(path: Path, contents: bytes, message: str, key: str | None = None, most: int = 1 << 24) -> None:
    path.write_bytes(contents)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=message):
            read_points(path, key)
        assert tracemalloc.get_traced_memory()[1] < most + 4 * len(contents)
    finally:
        tracemalloc.stop()


HEADERS = [
    (header("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2"), "not that of a plain array"),
    (header(FIELDS.replace("3, 2", "3L, 2L")) + bytes(48), "not that of a plain array"),
    (header(FIELDS.replace("(3, 2)", "(2,) 'shape': (3,)")), "not that of a plain array"),
    (header("(" * 3000), "not that of a plain array"),
    (header(" " + FIELDS) + bytes(48), "not that of a plain array"),
    (header("__import__('os').system('true')"), "not that of a plain array"),
    (header(FIELDS.replace("'<f8'", "[('a', '<f8')]")) + bytes(48), "not that of a plain array"),
    (header(FIELDS.replace("3, 2", "1000000000, 2")) + bytes(48), r"16,000,000,000 bytes"),
    (header(FIELDS.replace("3, 2", "9" * 18 + ", " + "9" * 18)) + bytes(48), "larger than any memory"),
    (header(FIELDS.replace("3, 2", "0, " + "9" * 18 + ", " + "9" * 18)), "larger than any memory"),
    (header(FIELDS.replace("<f8", "|O")) + bytes(48), "Object arrays cannot be loaded"),
    (header(FIELDS.replace("<f8", "|S0")), "its type .* has no"),
    (header(FIELDS + " " * 20_000, 2) + bytes(48), "longer than the 10000 that are read"),
    (header(FIELDS)[:40], "ends in its header"),
]


class TestArrays:
    @pytest.mark.parametrize(("contents", "message"), HEADERS)
    def test_headers(self, tmp_path, contents, message):
        refused(tmp_path / "a.npy", contents, message)
        message = message if "bytes" not in message else "declares the shape"
        refused(tmp_path / "a.npz", npz({"points.npy": contents}), message)

    def test_signalling_nan(self, tmp_path):
        values = np.ones((3, 2), np.float32)
        values.view(np.uint32)[0, 0] = 0x7F800001
        refused(tmp_path / "a.npy", npy(values), "contains NaN")

    def test_other_orders_and_types_are_read(self, tmp_path):
        for own in (VALUES.astype(">f8"), np.asfortranarray(VALUES), VALUES.astype(np.longdouble)):
            (tmp_path / "a.npy").write_bytes(npy(own))
            (tmp_path / "a.npz").write_bytes(npz({"points.npy": npy(own)}))
            for name in ("a.npy", "a.npz"):
                np.testing.assert_array_equal(read_points(tmp_path / name).values, VALUES)

    def test_a_bomb(self, tmp_path, monkeypatch):
        monkeypatch.setattr(memory, "MOST_BYTES", 1 << 20)
        bomb = npz({"points.npy": header(FIELDS.replace("3, 2", "500000, 2")) + bytes(8_000_000)})
        assert len(bomb) < 10_000
        refused(tmp_path / "a.npz", bomb, r"contents of 7.63 MiB, in a file of .* KiB. At most 1 MiB, or 16 times")
        monkeypatch.undo()
        (tmp_path / "a.npz").write_bytes(bomb)
        assert read_points(tmp_path / "a.npz").values.shape == (500_000, 2)

    def test_a_size_that_lies(self, tmp_path):
        contents = bytearray(npz({"points.npy": header(FIELDS.replace("3, 2", "100000000, 2"))}))
        place = contents.rfind(b"PK\x01\x02") + 24
        contents[place : place + 4] = (1_600_000_000 + 128).to_bytes(4, "little")
        refused(tmp_path / "a.npz", bytes(contents), "not a whole .npz archive")

    @pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
    def test_other_compression(self, tmp_path, method):
        refused(tmp_path / "a.npz", npz({"points.npy": npy(VALUES)}, method), "compressed by method")

    def test_members_that_are_no_arrays(self, tmp_path):
        refused(tmp_path / "a.npz", npz({"points.npy": b"text"}), "does not begin as .npy files do")

    def test_names_do_not_fill_messages_or_move_the_cursor(self, tmp_path):
        members = {"a" * 60_000 + ".npy": npy(VALUES), "\x1b[2J.npy": npy(VALUES)}
        (tmp_path / "a.npz").write_bytes(npz(members))
        with pytest.raises(InputError) as caught:
            read_points(tmp_path / "a.npz")
        assert len(str(caught.value)) < 1000
        assert str(caught.value).isprintable()

    def test_paths_in_archives_write_nothing(self, tmp_path):
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "a.npz").write_bytes(npz({"../../evil.npy": npy(VALUES), "/etc/x.npy": npy(VALUES)}))
        read_points(tmp_path / "in" / "a.npz", "../../evil")
        assert sorted(own.name for own in tmp_path.rglob("*")) == ["a.npz", "in"]


class TestText:
    @pytest.mark.parametrize("field", ["1_000", "١٢", "0x10"])
    def test_numbers_of_python_alone(self, tmp_path, field):
        refused(tmp_path / "a.csv", f"x,y\n1,2\n3,{field}\n".encode(), "line 3, column `y`: .* is not a number")

    def test_numbers_that_overflow(self, tmp_path):
        refused(tmp_path / "a.csv", b"x,y\n1,2\n3,1e999\n", "contains infinity")

    def test_many_empty_columns_with_names(self, tmp_path):
        """The message once took time with the square of their number."""
        count = 20_000
        names, gaps = ",".join(f"c{number}" for number in range(count)), "," * (count - 1)
        refused(tmp_path / "a.csv", f"{names}\n{gaps}\n{gaps}\n".encode(), "and 19995 more", most=1 << 26)

    def test_long_names(self, tmp_path):
        (tmp_path / "a.csv").write_text(f"{'x' * 40_000}\nnan\n")
        with pytest.raises(InputError) as caught:
            read_points(tmp_path / "a.csv")
        assert len(str(caught.value)) < 1000


def changed(tmp_path: Path, change, which: int = 0) -> Path:
    path = tmp_path / "a.h5ad"
    path.write_bytes(corpus("h5ad")[which])
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def replaced(name: str, value):
    def change(file):
        del file[name]
        file[name] = value

    return change


class TestHdf5:
    @pytest.mark.parametrize("name", ["X", "obs", "var", "obs/c", "obs/c/codes"])
    def test_links_are_not_followed(self, tmp_path, name):
        with h5py.File(tmp_path / "secret.h5", "w") as file:
            file["secret"] = np.full((3, 2), 7.0)
        for link in (h5py.ExternalLink(str(tmp_path / "secret.h5"), "/secret"), h5py.SoftLink("/obsm/X_pca")):
            path = changed(tmp_path, replaced(name, link))
            with pytest.raises(InputError, match="is a link to somewhere else"):
                read_points(path)

    def test_arrays_that_lie_in_other_files_are_not_read(self, tmp_path):
        (tmp_path / "secret").write_bytes(np.full((3, 2), 7.0).tobytes())

        def external(file):
            del file["X"]
            file.create_dataset("X", (3, 2), "f8", external=[(str(tmp_path / "secret"), 0, 48)])

        def virtual(file):
            del file["X"]
            layout = h5py.VirtualLayout((3, 2), "f8")
            layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "secret", (3, 2))
            file.create_virtual_dataset("X", layout)

        for change in (external, virtual):
            with pytest.raises(InputError, match="lie in other files"):
                read_points(changed(tmp_path, change))

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("X/indices", np.array([0, 1, 0, 10**9, 0, 1], np.int32)),
            ("X/indices", np.array([0, 1, 0, -5, 0, 1], np.int32)),
            ("X/indptr", np.array([0, 2, -4, 6], np.int32)),
            ("X/indptr", np.array([0, 2, 4, 10**8], np.int32)),
            ("X/indptr", np.array([0, 6], np.int32)),
            ("X/data", np.ones(2)),
        ],
    )
    @pytest.mark.parametrize("which", [1, 2])
    def test_sparse_matrices(self, tmp_path, name, value, which):
        with pytest.raises(InputError, match="is not a whole sparse matrix"):
            read_points(changed(tmp_path, replaced(name, value), which))

    def test_names_of_other_columns(self, tmp_path):
        with pytest.raises(InputError, match="`X` has 5 columns, `var` names 2"):
            read_points(changed(tmp_path, replaced("X", np.ones((3, 5)))))

    def test_groups_in_themselves(self, tmp_path):
        def change(file):
            file["obs/self"] = file["obs"]

        with pytest.raises(InputError, match="under two names, or in itself"):
            read_points(changed(tmp_path, change))

    def test_sizes_that_lie(self, tmp_path):
        def change(file):
            del file["obs/c/codes"]
            file.create_dataset("obs/c/codes", (10**10,), "i1", chunks=(1000,))

        with pytest.raises(InputError, match=r"declares contents of 9\.31 GiB"):
            read_points(changed(tmp_path, change))

    @pytest.mark.parametrize("value", ["x", 7.0, np.ones(3)])
    def test_parts_of_other_kinds(self, tmp_path, value):
        for name in ("obs", "var", "obsm"):
            with pytest.raises(InputError):
                read_points(changed(tmp_path, replaced(name, value)), "obsm/X_pca" if name == "obsm" else None)


class TestImages:
    def test_bombs(self, tmp_path, monkeypatch):
        Image.new("L", (40, 30)).save(tmp_path / "a.png")
        for most in (1000, 100):  # Pillow warns beyond, and refuses beyond twice as many
            monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
            with pytest.raises(InputError, match="exceeds limit"):
                read_image(tmp_path / "a.png")

    def test_missing_dimensions(self, tmp_path):
        contents = corpus("tiff")[0]
        (tmp_path / "a.tif").write_bytes(contents.replace(struct.pack("<HH", 256, 4), struct.pack("<HH", 9, 4)))
        with pytest.raises(InputError):
            read_image(tmp_path / "a.tif")


def test_what_is_compressed_a_thousand_times(tmp_path, monkeypatch):
    import gzip

    monkeypatch.setattr(memory, "MOST_BYTES", 1 << 20)
    (tmp_path / "a.gz").write_bytes(gzip.compress(bytes(5 << 20)))
    with pytest.raises(InputError, match="At most 1 MiB, or 16 times the file, is read"):
        read_decompressed(tmp_path / "a.gz")


def rewritten(tmp_path: Path, name: str, change) -> Path:
    """A file of a map with other contents, and the checksum that belongs to them."""
    data = (FORMATS / f"{name}.brenier").read_bytes()
    size = int.from_bytes(data[:8], "little")
    tensors, description = read_tensors(data), json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["brenier"])
    tensors = {key: np.array(own) for key, own in tensors.items()}
    text = change(description, tensors) or json.dumps(description)
    path = tmp_path / "a.brenier"
    path.write_bytes(to_bytes(tensors, metadata={"brenier": text, "sha256": mapfile._digest(text, tensors)}))
    return path


def put(name: str, value):
    return lambda description, tensors: tensors.update({name: np.asarray(value)}) or ""


def say(**entries):
    return lambda description, tensors: description.update(entries) or ""


def shape(**entries):
    return lambda description, tensors: description["hyperparameters"].update(entries) or ""


D = 2


class TestMaps:
    @pytest.mark.parametrize(
        ("name", "change", "message"),
        [
            ("1-icnn-ramp", put("coordinates.mean_x", np.full(D, np.nan)), "is not finite"),
            ("1-icnn-ramp", put("coordinates.mean_x", np.zeros(D, np.complex64)), "must hold real numbers"),
            ("1-icnn-ramp", put("coordinates.to_x", np.eye(D + 1)), "has shape"),
            ("1-icnn-ramp", put("coordinates.from_y", np.ones(D)), "has shape"),
            ("1-icnn-ramp", put("coordinates.unit", 0.0), "must be positive"),
            ("1-icnn-ramp", put("coordinates.scale", -np.ones(D)), "must be positive"),
            ("1-icnn-ramp", put("potential.0", np.full((D, 3), np.inf, np.float32)), "is not finite"),
            ("1-icnn-ramp", shape(dim=10**9), "the potential has 1000000000 columns"),
            ("1-icnn-ramp", shape(widths=[10**9, 10**9]), "the potential has at least"),
            ("1-icnn-ramp", shape(widths=[True, 2]), "must be a whole number"),
            ("1-icnn-ramp", shape(widths=[-3, 2]), "must be a whole number"),
            ("1-icnn-ramp", shape(inert=[0, 0]), "each once"),
            ("1-mlp", shape(start=1e999), "must be a finite number"),
            ("1-gaussian", shape(dim=10**6), "the potential has 1000000 columns"),
            ("2-conditions", shape(classes=10**9), "the potential has at least"),
            ("2-conditions", say(degree=10**9), "does not belong to"),
            ("2-conditions", say(degree=1.0), "does not belong to"),
            ("2-conditions", put("coordinates.rotation", np.eye(1)), "has shape"),
            ("3-sphere", put("coordinates.radius", -1.0), "a sphere of"),
            ("1-icnn-ramp", say(columns="ab"), "`columns` must be null or the names"),
            ("1-icnn-ramp", say(columns=7), "`columns` must be null or the names"),
            ("1-icnn-ramp", say(columns=["a"]), "`columns` must be null or the names"),
            ("1-icnn-ramp", say(columns=["a", "\ud800"]), "`columns` must be null or the names"),
            ("1-icnn-ramp", say(info=[]), "`info` must be an object"),
            ("1-density", say(info={"base": {}}), "`base` must be an object with a side"),
            ("1-density", say(info={"base": {"side": "source", "mean": [0], "deviation": [1, 1]}}), "2 finite numbers"),
            (
                "1-density",
                say(info={"base": {"side": "source", "mean": [0, 0], "deviation": [1, 0]}}),
                "deviations above zero",
            ),
            ("1-icnn-ramp", say(format=True), "format version True"),
        ],
    )
    def test_a_checksum_is_no_protection(self, tmp_path, name, change, message):
        path = rewritten(tmp_path, name, change)
        tracemalloc.start()
        try:
            with pytest.raises(MapFileError, match=message) as caught:
                TransportMap.load(path)
            assert tracemalloc.get_traced_memory()[1] < 1 << 24
            assert len(str(caught.value)) < 1000
        finally:
            tracemalloc.stop()

    def test_conditions(self, tmp_path):
        for entry in ({"variables": []}, {"classes": []}, {"low": [[1e999]]}, {"variables": [["x", "code"]]}):
            change = lambda description, tensors, own=entry: description["conditions"].update(own) or ""  # noqa: E731
            with pytest.raises(MapFileError, match="does not describe a map"):
                TransportMap.load(rewritten(tmp_path, "2-conditions", change))

    def test_two_entries_with_one_name(self, tmp_path):
        def change(description, tensors):
            return json.dumps(description).replace("{", '{"format": 1, ', 1)

        with pytest.raises(MapFileError, match="two entries with one name"):
            TransportMap.load(rewritten(tmp_path, "1-icnn-ramp", change))


def test_labels_in_bytes_that_are_no_text(tmp_path):
    labels = npy(np.array([b"a", b"\xff", b"b"]))
    (tmp_path / "a.npz").write_bytes(npz({"points.npy": npy(VALUES), "c.npy": labels}))
    table, (column,) = read_with_conditions(tmp_path / "a.npz", "points", ["c"])
    assert len(table.values) == len(column.values) == 3
    assert [label_text(entry) for entry in column.values] == ["a", r"\xff", "b"]


def test_no_file_is_left_open(tmp_path):
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    for suffix in ("npy", "npz", "csv", "h5ad", "parquet"):
        (tmp_path / f"a.{suffix}").write_bytes(b"no such file")
        with pytest.raises(InputError):
            read_points(tmp_path / f"a.{suffix}")
    assert before == (len(os.listdir("/proc/self/fd")) if before else 0)


def test_a_class_of_any_length_has_a_short_message(tmp_path):
    (tmp_path / "magic04.data").write_text("1," * 10 + "x" * 100_000 + "\n")
    with pytest.raises(InputError, match="is neither 'g' nor 'h'") as caught:
        load_magic(tmp_path / "magic04.data")
    assert len(str(caught.value)) < 1000


def parts(path: Path, key: str | None = None) -> list:
    return list(open_rows(path, Asked(key)).blocks(2))


class TestParts:
    """What is read in parts goes through the checks of what is read whole."""

    @pytest.mark.parametrize(("contents", "message"), HEADERS)
    @pytest.mark.parametrize("suffix", [".npy", ".npz"])
    def test_headers(self, tmp_path, contents, message, suffix):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(contents if suffix == ".npy" else npz({"points.npy": contents}))
        message = message if "bytes" not in message or suffix == ".npy" else "declares the shape"
        with pytest.raises(InputError, match=message):
            parts(path)

    @pytest.mark.parametrize("notes", [b"{", b"[" * 100_000, b"[]", b"7", b'{"index_columns": 7}', b"\xff", b"{}"])
    def test_notes_of_pandas(self, tmp_path, notes):
        table = pyarrow.table({"x": [1.0, 2.0, 3.0], "y": [4.0, 5.0, 6.0]}).replace_schema_metadata({b"pandas": notes})
        parquet.write_table(table, tmp_path / "a.parquet")
        assert [block.points.tolist() for block in parts(tmp_path / "a.parquet")] == [[[1, 4], [2, 5]], [[3, 6]]]
        assert read_points(tmp_path / "a.parquet").columns == ["x", "y"]

    def test_names_that_are_there_twice(self, tmp_path):
        columns = [pyarrow.array([1.0, 2.0, 3.0]), pyarrow.array([4.0, 5.0, 6.0]), pyarrow.array(["a", "b", "a"])]
        parquet.write_table(pyarrow.Table.from_arrays(columns, ["x", "x", "c"]), tmp_path / "a.parquet")
        block, _ = open_rows(tmp_path / "a.parquet", Asked(None, ["c"])).blocks(2)
        assert (block.points.tolist(), block.taken["c"].tolist()) == ([[1, 4], [2, 5]], ["a", "b"])

    def test_sizes_of_tables(self, tmp_path, monkeypatch):
        monkeypatch.setattr(memory, "MOST_BYTES", 1 << 20)
        table = pyarrow.table({"x": np.zeros(500_000), "y": np.zeros(500_000)})
        parquet.write_table(table, tmp_path / "a.parquet", compression="zstd")
        assert (tmp_path / "a.parquet").stat().st_size < 100_000
        for read in (parts, read_points):
            with pytest.raises(InputError, match=r"declares contents of 7\.63 MiB"):
                read(tmp_path / "a.parquet")

    def test_flipped_bytes_of_tables(self, tmp_path):
        parquet.write_table(pyarrow.table({"x": np.arange(999.0)}), tmp_path / "a.parquet", compression="none")
        contents = bytearray((tmp_path / "a.parquet").read_bytes())
        contents[4:40] = bytes(36)
        (tmp_path / "a.parquet").write_bytes(contents)
        for read in (parts, read_points):
            with pytest.raises(InputError, match=r"is not a whole \.parquet file"):
                read(tmp_path / "a.parquet")
