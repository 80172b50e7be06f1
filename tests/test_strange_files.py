"""Files of strangers lead nowhere: what lies outside of them is not read, and nothing that they bring is run."""

import json
import os
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brenier import InputError
from brenier.data.cells import Place
from brenier.data.stored import Stored
from brenier.files import read_points
from brenier.files.asked import Asked
from brenier.files.h5ad import add_to_h5ad
from brenier.files.points import open_rows, read_with_conditions, read_without
from brenier_bench.datasets.tabular import load_bsds300

h5py = pytest.importorskip("h5py")
SECRET = "root:x:0:0:a-secret-line"
ROWS = 6


def whole(path: Path, key: str | None, columns: tuple[str, ...]) -> object:
    if not columns:
        read_points(path, key)
    read_without(path, key, columns)
    return read_with_conditions(path, key, columns)


def in_parts(path: Path, key: str | None, columns: tuple[str, ...]) -> object:
    opened = open_rows(path, Asked(key, columns))
    assert isinstance(opened, Stored)
    opened.content(0, 3)
    return opened.columns, list(opened.blocks(4))


READERS = pytest.mark.parametrize("read", [whole, in_parts])


def refused(read: Callable, path: Path, key: str | None, columns: tuple[str, ...]) -> None:
    """The file is refused, by a message in which there is nothing of the secret."""
    with pytest.raises(InputError) as caught:
        read(path, key, columns)
    assert SECRET[:6] not in str(caught.value)


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An honest file."""
    anndata, pandas = pytest.importorskip("anndata"), pytest.importorskip("pandas")
    from scipy import sparse

    values = np.arange(3.0 * ROWS).reshape(ROWS, 3) + 1.0
    obs = {"c": pandas.Categorical(list("abc" * 2)), "w": np.arange(ROWS) + 1.0, "n": pandas.array([1] * ROWS)}
    names = pandas.Index([f"cell{row}" for row in range(ROWS)])
    adata = anndata.AnnData(
        sparse.csr_matrix(values),
        pandas.DataFrame(obs, names),
        pandas.DataFrame(index=["x", "y", "z"]),
        obsm={"p": values, "frame": pandas.DataFrame(values, names, ["f", "g", "h"])},
        layers={"l": values, "csc": sparse.csc_matrix(values)},
        uns={"brenier": {"older": {"version": "0"}}},
    )
    path = tmp_path_factory.mktemp("cells") / "a.h5ad"
    adata.write_h5ad(path)
    return path.read_bytes()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Files that are not to be read: bytes, and the same as text in HDF5."""
    (tmp_path / "secret").write_bytes((SECRET * 40).encode())
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["secret"] = np.array([SECRET.encode()] * ROWS, dtype=f"S{len(SECRET)}")
        file["values"] = np.ones((ROWS, 3))
        file.create_group("group")
    return tmp_path / "secret"


def external_storage(parent: Any, name: str, old: Any, secret: Path) -> None:
    shape, kind = getattr(old, "shape", (ROWS,)), getattr(old, "dtype", np.dtype("S24"))
    kind = np.dtype("S4") if kind.kind == "O" else kind
    parent.create_dataset(name, shape, kind, external=[(str(secret), 0, int(np.prod(shape)) * kind.itemsize)])


def external_link(parent: Any, name: str, old: Any, secret: Path) -> None:
    place = "/group" if isinstance(old, h5py.Group) else "/values" if old.ndim == 2 else "/secret"
    parent[name] = h5py.ExternalLink(f"{secret}.h5", place)


def soft_link(parent: Any, name: str, old: Any, secret: Path) -> None:
    external_storage(parent.file, "stolen", old, secret)
    parent[name] = h5py.SoftLink("/stolen")


def virtual_data_set(parent: Any, name: str, old: Any, secret: Path) -> None:
    shape = getattr(old, "shape", (ROWS,))
    layout = h5py.VirtualLayout(shape, "S24" if len(shape) == 1 else "f8")
    layout[...] = h5py.VirtualSource(f"{secret}.h5", "secret" if len(shape) == 1 else "values", shape)
    parent.create_virtual_dataset(name, layout)


MUTATIONS = pytest.mark.parametrize("mutate", [external_storage, external_link, soft_link, virtual_data_set])
PARTS = [
    ("X", None, ()),
    ("X/data", None, ()),
    ("X/indices", None, ()),
    ("X/indptr", None, ()),
    ("layers", "layers/l", ()),
    ("layers/l", "layers/l", ()),
    ("layers/csc", "layers/csc", ()),
    ("layers/csc/indices", "layers/csc", ()),
    ("obsm", "obsm/p", ()),
    ("obsm/p", "obsm/p", ()),
    ("obsm/frame", "obsm/frame", ()),
    ("obsm/frame/g", "obsm/frame", ()),
    ("var", None, ()),
    ("var/_index", None, ()),
    ("obs", "obsm/p", ("c",)),
    ("obs/_index", "obsm/p", ("c",)),
    ("obs/w", "obsm/p", ("w",)),
    ("obs/c", "obsm/p", ("c",)),
    ("obs/c/codes", "obsm/p", ("c",)),
    ("obs/c/categories", "obsm/p", ("c",)),
    ("obs/n/values", "obsm/p", ("n",)),
    ("obs/n/mask", "obsm/p", ("n",)),
]


def changed(path: Path, contents: bytes, change: Callable[[Any], object]) -> Path:
    path.write_bytes(contents)
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def test_the_honest_file_is_read(cells: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.h5ad").write_bytes(cells)
    for key in (None, "layers/l", "obsm/p", "layers/csc", "obsm/frame"):
        for read in (whole, in_parts) if key not in ("layers/csc", "obsm/frame") else (whole,):
            read(tmp_path / "a.h5ad", key, ("c", "w", "n"))


@READERS
@MUTATIONS
@pytest.mark.parametrize(("place", "key", "columns"), PARTS)
def test_nothing_in_an_h5ad_file_leads_out_of_it(
    read: Callable, mutate: Callable, place: str, key: str, columns: tuple, cells: bytes, secret: Path
) -> None:
    def change(file: Any) -> None:
        group, _, name = place.rpartition("/")
        parent = file[group or "/"]
        old = parent[name]
        del parent[name]
        mutate(parent, name, old, secret)

    refused(read, changed(secret.with_name("a.h5ad"), cells, change), key, columns)


@READERS
@pytest.mark.parametrize("name", ["/stolen", "../stolen", "/obs/../stolen", "./c", "/", ".", ""])
@pytest.mark.parametrize(
    ("group", "attribute", "key", "columns"),
    [
        ("var", "_index", None, ()),
        ("obs", "_index", None, ("c",)),
        ("obs", "column-order", None, ()),
        ("obs", "column-order", "obsm/p", ("c",)),
        ("obs", "column-order", "obsm/p", None),
        ("obsm/frame", "column-order", "obsm/frame", ()),
    ],
)
def test_names_in_attributes_are_no_paths(
    read: Callable, name: str, group: str, attribute: str, key: str, columns: tuple, cells: bytes, secret: Path
) -> None:
    def change(file: Any) -> None:
        file.create_dataset("stolen", (ROWS,), "S24", external=[(str(secret), 0, 24 * ROWS)])
        old = file[group].attrs[attribute]
        file[group].attrs[attribute] = name if attribute == "_index" else [*old, name]

    path = changed(secret.with_name("a.h5ad"), cells, change)
    refused(read, path, key, (name,) if columns is None else columns)


@READERS
def test_the_index_is_a_plain_name(read: Callable, cells: bytes, secret: Path) -> None:
    def change(file: Any) -> None:
        file["var/deep"] = h5py.ExternalLink(f"{secret}.h5", "/")
        file["var"].attrs["_index"] = "deep/secret"

    refused(read, changed(secret.with_name("a.h5ad"), cells, change), None, ())


@READERS
def test_categories_of_old_files_are_found_by_name_and_not_by_reference(
    read: Callable, cells: bytes, secret: Path
) -> None:
    """anndata before 0.8 put them beside the columns, with a reference that could lead anywhere."""

    def change(file: Any, categories: str = "__categories/c") -> None:
        obs = file["obs"]
        codes = obs["c/codes"][()]
        del obs["c"]
        obs.attrs["encoding-version"] = "0.1.0"
        obs["c"] = codes
        obs.create_dataset("__categories/c", data=np.array(["p", "q", "r"], dtype=h5py.string_dtype()))
        if categories.startswith("/"):
            file.create_dataset(categories, (3,), "S24", external=[(str(secret), 0, 72)])
        obs["c"].attrs["categories"] = (file if categories.startswith("/") else obs)[categories].ref

    path = changed(secret.with_name("a.h5ad"), cells, lambda file: change(file, "/stolen"))
    _, content = read(path, "obsm/p", ("c",))
    labels = content[0].taken["c"] if read is in_parts else content[0].values
    assert labels[:3].tolist() == ["p", "q", "r"]


@MUTATIONS
@pytest.mark.parametrize("place", ["uns", "uns/brenier", "obsm"])
def test_nothing_is_written_to_other_files(mutate: Callable, place: str, cells: bytes, secret: Path) -> None:
    def change(file: Any) -> None:
        group, _, name = place.rpartition("/")
        old = file[place]
        del file[place]
        mutate(file[group or "/"], name, old, secret)

    source = changed(secret.with_name("a.h5ad"), cells, change)
    others = {path: path.read_bytes() for path in (secret, Path(f"{secret}.h5"))}
    with pytest.raises(InputError):
        add_to_h5ad(source, source.with_name("b.h5ad"), Place("obsm", "moved"), np.ones((ROWS, 3)), {"version": "1"})
    assert {path: path.read_bytes() for path in others} == others
    assert not source.with_name("b.h5ad").exists()


def test_what_is_added_has_a_plain_name(cells: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.h5ad").write_bytes(cells)
    for key in ("/obs", "../obs", "."):
        with pytest.raises(InputError, match="is a path"):
            add_to_h5ad(tmp_path / "a.h5ad", tmp_path / "b.h5ad", Place("obsm", key), np.ones((ROWS, 3)), {"a": "1"})


@MUTATIONS
def test_nor_does_the_benchmark_file(mutate: Callable, secret: Path) -> None:
    path = secret.with_name("BSDS300.hdf5")
    with h5py.File(path, "w") as file:
        for part in ("train", "validation", "test"):
            file[part] = np.ones((2, 63), np.float32)
        old = file["test"]
        del file["test"]
        mutate(file, "test", old, secret)
    with pytest.raises(InputError):
        load_bsds300(path)


RAN: list[object] = []


class Trap:
    """What is unpickled notes it."""

    def __reduce__(self) -> tuple:
        return RAN.append, ("ran",)


@pytest.fixture
def group(tmp_path: Path) -> Path:
    """An honest group with points, a condition and a weight, in both versions of the format."""
    zarr = pytest.importorskip("zarr")
    for version in (2, 3):
        own = zarr.open_group(str(tmp_path / f"{version}.zarr"), mode="w", zarr_format=version)
        for name, values in (("points", np.ones((ROWS, 2))), ("c", np.arange(ROWS)), ("w", np.ones(ROWS))):
            own.create_array(name, data=values, chunks=(4, *values.shape[1:]))
    return tmp_path


def text_in(path: Path, name: str, version: int) -> None:
    import shutil

    import zarr

    shutil.rmtree(path / name)
    values = np.array(["ab", "c", "d"] * 2)
    zarr.open_group(str(path), mode="r+", zarr_format=version).create_array(name, data=values, chunks=(4,))


@READERS
@pytest.mark.parametrize("version", [2, 3])
def test_an_honest_group_is_read(read: Callable, version: int, group: Path) -> None:
    read(group / f"{version}.zarr", None, ("c", "w"))


@READERS
@pytest.mark.filterwarnings("ignore:The data type")
@pytest.mark.parametrize("version", [2, 3])
def test_text_of_a_fixed_length_is_read(read: Callable, version: int, group: Path) -> None:
    text_in(group / f"{version}.zarr", "c", version)
    _, content = read(group / f"{version}.zarr", "points", ("c",))
    labels = content[0].taken["c"] if read is in_parts else content[0].values
    assert labels[:3].tolist() == ["ab", "c", "d"]


def metadata(path: Path, change: Callable[[dict], object]) -> None:
    said = json.loads(path.read_text())
    path.write_text(json.dumps(change(said) or said))


def pickled(path: Path) -> None:
    """Chunks that hold a pickle."""
    for chunk in path.iterdir():
        if chunk.name.isdigit():
            chunk.write_bytes(pickle.dumps(Trap()))


SECOND: list[tuple[str, dict]] = [
    ("a pickle behind text", {"dtype": "|O", "filters": [{"id": "vlen-utf8"}, {"id": "pickle"}], "compressor": None}),
    ("a pickle", {"dtype": "|O", "filters": [{"id": "pickle"}], "compressor": None}),
    ("a pickle of numbers", {"filters": [{"id": "pickle"}], "compressor": None}),
    ("a pickle as compressor", {"filters": None, "compressor": {"id": "pickle", "protocol": 5}}),
    ("text of any length", {"dtype": "|O", "filters": [{"id": "vlen-utf8"}]}),
    ("records", {"dtype": [["a", "|O"]]}),
    ("objects out of a filter", {"filters": [{"id": "delta", "dtype": "|O"}]}),
    ("dates", {"dtype": "<M8[s]"}),
    ("another filter", {"filters": [{"id": "json2"}]}),
    ("a filter that is no object", {"filters": ["pickle"]}),
    ("filters that are no list", {"filters": {"id": "pickle"}}),
    ("shape as text", {"shape": "6"}),
    ("a negative shape", {"shape": [-1, 2]}),
    ("a huge shape", {"shape": [10**30, 2]}),
    ("chunks of nothing", {"chunks": [0, 2]}),
    ("chunks as text", {"chunks": "12"}),
    ("huge chunks", {"chunks": [10**12, 2]}),
    ("another format", {"zarr_format": 9}),
]
THIRD: list[tuple[str, dict]] = [
    ("text of any length", {"data_type": "string", "codecs": [{"name": "vlen-utf8"}]}),
    ("a pickle", {"codecs": [{"name": "numcodecs.pickle"}, {"name": "bytes"}]}),
    ("another codec", {"codecs": [{"name": "bytes"}, {"name": "numcodecs.pickle", "configuration": {}}]}),
    ("a codec by its name", {"codecs": ["vlen-utf8"]}),
    ("no codecs", {"codecs": []}),
    ("objects", {"data_type": {"name": "variable_length_utf8"}}),
    ("records", {"data_type": {"name": "struct", "configuration": {"fields": [["a", "int32"]]}}}),
    ("transformers", {"storage_transformers": [{"name": "x"}]}),
    ("shape as text", {"shape": "6"}),
    ("a negative shape", {"shape": [-1, 2]}),
    ("a huge shape", {"shape": [10**30, 2]}),
    ("another grid", {"chunk_grid": {"name": "rectangular", "configuration": {"chunk_shape": [1, 2]}}}),
    ("chunks of nothing", {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [0, 2]}}}),
    ("huge chunks", {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [10**12, 2]}}}),
]
SHARDS: list[list] = [
    [{"name": "vlen-utf8"}],
    [{"name": "bytes"}, {"name": "numcodecs.pickle"}],
    [{"name": "sharding_indexed"}],
]


@READERS
@pytest.mark.parametrize("name", ["points", "c", "w"])
@pytest.mark.parametrize(
    ("version", "says"), [pytest.param(2, own, id=text) for text, own in SECOND] + [(3, own) for _, own in THIRD]
)
def test_metadata_of_zarr_are_checked_before_zarr_sees_them(
    read: Callable, name: str, version: int, says: dict, group: Path
) -> None:
    path = group / f"{version}.zarr"
    metadata(path / name / (".zarray" if version == 2 else "zarr.json"), lambda said: said | says)
    pickled(path / name)
    RAN.clear()
    refused(read, path, "points", ("c", "w"))
    assert RAN == []


@READERS
@pytest.mark.parametrize("codecs", SHARDS, ids=json.dumps)
@pytest.mark.parametrize("where", ["codecs", "index_codecs"])
def test_codecs_inside_of_shards_are_checked(read: Callable, codecs: list, where: str, group: Path) -> None:
    def change(said: dict) -> None:
        inner = {"chunk_shape": [2], "codecs": [{"name": "bytes"}], "index_codecs": [{"name": "bytes"}]}
        said["codecs"] = [{"name": "sharding_indexed", "configuration": inner | {where: codecs}}]

    metadata(group / "3.zarr" / "c" / "zarr.json", change)
    refused(read, group / "3.zarr", "points", ("c",))


@READERS
@pytest.mark.parametrize("version", [2, 3])
def test_metadata_that_are_gathered_elsewhere_are_not_believed(read: Callable, version: int, group: Path) -> None:
    """Zarr would take those of all arrays from the group."""
    import zarr

    path = group / f"{version}.zarr"
    if version == 3:
        pytest.importorskip("zarr", "3")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(str(path))
    place = path / (".zmetadata" if version == 2 else "zarr.json")
    text = place.read_text()
    place.write_text(text.replace("int64", "string").replace("<i8", "|O"))
    assert place.read_text() != text
    _, content = read(path, "points", ("c",))
    labels = content[0].taken["c"] if read is in_parts else content[0].values
    assert labels[:3].tolist() == [0, 1, 2]


@READERS
@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("kind", ["array", "folder", "metadata", "chunk", "pipe"])
def test_links_and_pipes_in_zarr_are_not_followed(read: Callable, version: int, kind: str, group: Path) -> None:
    path, other = group / f"{version}.zarr", group / "other"
    file = path / "c" / (".zarray" if version == 2 else "zarr.json")
    chunk = path / "c" / ("0" if version == 2 else "c/0")
    places = {"array": path / "c", "folder": path / "c" / "c", "metadata": file, "chunk": chunk, "pipe": chunk}
    place = chunk if kind == "folder" and version == 2 else places[kind]
    place.rename(other)
    if kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to(other)
    refused(read, path, "points", ("c",))


@READERS
def test_columns_of_zarr_have_the_rows_of_the_points(read: Callable, group: Path) -> None:
    metadata(group / "3.zarr" / "c" / "zarr.json", lambda said: said | {"shape": [5]})
    refused(read, group / "3.zarr", "points", ("c",))


@READERS
@pytest.mark.parametrize("name", ["../other", "c/../../other", "/etc", ".."])
def test_columns_of_zarr_are_those_of_the_group(read: Callable, name: str, group: Path) -> None:
    (group / "2.zarr" / "c").rename(group / "other")
    refused(read, group / "2.zarr", "points", (name,))


@READERS
@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "7", '{"zarr_format": 3, "node_type": ["array"]}', ""])
def test_metadata_of_zarr_that_are_none(read: Callable, text: str, group: Path) -> None:
    for place in (group / "3.zarr" / "points" / "zarr.json", group / "2.zarr" / "points" / ".zarray"):
        place.write_text(text)
    for version in (2, 3):
        refused(read, group / f"{version}.zarr", None, ("c", "w"))


def test_sizes_of_zarr_that_lie(group: Path) -> None:
    metadata(group / "3.zarr" / "points" / "zarr.json", lambda said: said | {"shape": [10**9, 2]})
    with pytest.raises(InputError, match="declares contents of"):
        read_points(group / "3.zarr", "points")
    grid = {"name": "regular", "configuration": {"chunk_shape": [1, 2]}}
    metadata(
        group / "3.zarr" / "points" / "zarr.json", lambda said: said | {"shape": [1000, 10**9], "chunk_grid": grid}
    )
    with pytest.raises(InputError, match="declares contents of"):
        list(open_rows(group / "3.zarr", Asked("points")).blocks(16))
