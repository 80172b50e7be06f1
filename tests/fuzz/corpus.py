"""Small valid files of every format, from which mutations start."""

import bz2
import gzip
import io
import json
import struct
import tarfile
import tempfile
import warnings
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["corpus", "npy", "npz"]

VALUES = np.array([[1.0, 0.1], [-2.5, 3.0], [1 / 3, 1e9]])
FORMATS = Path(__file__).resolve().parents[1] / "formats"


def npy(array: Any, *, pickled: bool = False) -> bytes:
    """An array as a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=pickled)
    return buffer.getvalue()


def npz(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive of these members."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return buffer.getvalue()


@cache
def corpus(name: str) -> tuple[bytes, ...]:
    """Valid files for the reader of this name in `targets.TARGETS`."""
    return tuple(_MAKERS[name]())


def _npy() -> list[bytes]:
    kinds = ["<f8", ">f8", "<f4", ">i4", "<i8", "|i1", "<f2"]
    plain = [npy(np.clip(VALUES, -9, 9).astype(kind)) for kind in kinds]
    return [*plain, npy(np.asfortranarray(VALUES)), npy(VALUES.astype(np.longdouble))]


def _npz() -> list[bytes]:
    labels = {"c.npy": npy(np.array(["a", "b", "a"])), "columns.npy": npy(np.array(["x", "y"]))}
    return [
        npz({"points.npy": npy(VALUES)}),
        npz({"points.npy": npy(VALUES), "columns.npy": labels["columns.npy"]}, zipfile.ZIP_STORED),
        npz({"points.npy": npy(VALUES), **labels}),
        npz({"points.npy": npy(VALUES), "c.npy": npy(np.array([b"a", b"b", b"b"]))}),
        npz({"points.npy": npy(VALUES), "c.npy": npy(np.arange(3))}),
    ]


def _csv() -> list[bytes]:
    texts = ["1,2\n3,4\n", "x,y\n1,2\n3,4.5e-3\n", 'x,"y",c\n1,2,a\n3,"4",b\n', "\ufeffx,y,c\r\n1,2,3\r\n5,nan,7\r\n"]
    return [text.encode() for text in texts]


def _parquet() -> list[bytes]:
    import pyarrow as pa
    from pyarrow import parquet

    columns: list[dict[str, Any]] = [
        {"x": [1.0, 2.0], "y": [3, 4]},
        {"x": [1.0, None], "c": ["a", "b"]},
        {"x": pa.array([1.5, 2.5], pa.float32()), "c": pa.array(["a", "b"]).dictionary_encode()},
        {"x": [[1.0], [2.0, 3.0]], "c": [{"a": 1}, {"a": 2}]},
        {"x": pa.array([1, 2], pa.timestamp("us")), "y": pa.array([1, 2]).cast(pa.decimal128(22, 2))},
        {"x": [True, False], "y": [None, None], "z": [b"\xff", b"b"]},
    ]
    files = []
    for number, own in enumerate(columns):
        buffer = io.BytesIO()
        compression = ("snappy", "none", "zstd", "gzip")[number % 4]
        parquet.write_table(pa.table(own), buffer, compression=compression)
        files.append(buffer.getvalue())
    return files


def _h5ad() -> list[bytes]:
    import anndata
    import pandas as pd
    from scipy import sparse

    files = []
    for x in (VALUES, sparse.csr_matrix(VALUES), sparse.csc_matrix(VALUES)):
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            obs = pd.DataFrame({"c": pd.Categorical(["a", "b", "a"])}, index=["1", "2", "3"])
            adata = anndata.AnnData(
                x, obs, obsm={"X_pca": VALUES, "frame": pd.DataFrame(VALUES, obs.index, ["p", "q"])}
            )
            path = Path(folder) / "a.h5ad"
            adata.write_h5ad(path)
            files.append(path.read_bytes())
    return files


def _zarr() -> list[bytes]:
    second = {"zarr_format": 2, "shape": [3, 2], "chunks": [2, 2], "dtype": "<f8", "order": "C", "fill_value": 0.0}
    second |= {"compressor": None, "filters": None, "dimension_separator": "."}
    grid = {"name": "regular", "configuration": {"chunk_shape": [2, 2]}}
    keys = {"name": "default", "configuration": {"separator": "/"}}
    third = {"zarr_format": 3, "node_type": "array", "shape": [3, 2], "data_type": "float64", "chunk_grid": grid}
    third |= {"chunk_key_encoding": keys, "fill_value": 0.0, "attributes": {"columns": ["a", "b"]}}
    third["codecs"] = [{"name": "bytes", "configuration": {"endian": "little"}}]
    return [json.dumps(said).encode() for said in (second, third)]


def _images(kind: str) -> list[bytes]:
    from PIL import Image

    rng = np.random.default_rng(0)
    modes = {
        "png": ["RGB", "RGBA", "L", "P", "1", "I;16"],
        "tiff": ["RGB", "CMYK", "L", "I", "F", "I;16", "LAB"],
        "jpeg": ["RGB", "L", "CMYK"],
        "webp": ["RGB", "RGBA"],
        "bmp": ["RGB", "L", "P"],
    }[kind]
    files = []
    for mode in modes:
        grey = Image.fromarray(rng.integers(0, 255, (5, 4), np.uint8))
        image = Image.fromarray(rng.integers(0, 60000, (5, 4), np.uint16)) if mode == "I;16" else None
        image = image or (Image.new("LAB", (4, 5)) if mode == "LAB" else grey.convert(mode))
        for options in [{}, {"compression": "tiff_lzw"}] if kind == "tiff" else [{}]:
            buffer = io.BytesIO()
            image.save(buffer, format=kind, **options)
            files.append(buffer.getvalue())
    if kind in ("png", "tiff", "webp"):
        frames = [Image.new("RGB", (3, 3), shade) for shade in ("red", "blue")]
        buffer = io.BytesIO()
        frames[0].save(buffer, format=kind, save_all=True, append_images=frames[1:])
        files.append(buffer.getvalue())
    return files


def _maps() -> list[bytes]:
    return [path.read_bytes() for path in sorted(FORMATS.glob("*.brenier"))]


def _idx() -> list[bytes]:
    plain = struct.pack(">4B3I", 0, 0, 8, 3, 2, 3, 3) + bytes(18)
    return [gzip.compress(plain, mtime=0), plain]


def _usps() -> list[bytes]:
    lines = "\n".join(f"{label} 1:-1 2:0.5 256:1" for label in (1, 10, 3)).encode()
    return [bz2.compress(lines), lines, gzip.compress(lines, mtime=0)]


def _magic() -> list[bytes]:
    rows = "\n".join(",".join(["1.5"] * 10 + ["gh"[row % 2]]) for row in range(20)).encode()
    return [npz({"magic/magic04.data": rows}), rows, gzip.compress(rows, mtime=0)]


def _miniboone() -> list[bytes]:
    content, buffer = npy(np.random.default_rng(0).normal(size=(30, 43))), io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        own = tarfile.TarInfo("data/miniboone/data.npy")
        own.size = len(content)
        archive.addfile(own, io.BytesIO(content))
    return [buffer.getvalue(), gzip.compress(buffer.getvalue(), mtime=0), content]


def _bsds() -> list[bytes]:
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for part in ("train", "validation", "test"):
            file[part] = np.ones((2, 63), np.float32)
    return [buffer.getvalue()]


def _pair() -> list[bytes]:
    return [npz({"Sigma0.npy": npy(np.eye(2)), "Sigma1.npy": npy(2 * np.eye(2))})]


_MAKERS = {
    "npy": _npy,
    "npz": _npz,
    "npz-conditions": _npz,
    "csv": _csv,
    "csv-conditions": _csv,
    "tsv": lambda: [text.replace(b",", b"\t") for text in _csv()],
    "parquet": _parquet,
    "parquet-conditions": _parquet,
    "h5ad": _h5ad,
    "h5ad-conditions": _h5ad,
    "npy-parts": _npy,
    "npz-parts": _npz,
    "csv-parts": _csv,
    "parquet-parts": _parquet,
    "parquet-parts-conditions": _parquet,
    "h5ad-parts": _h5ad,
    "h5ad-parts-conditions": _h5ad,
    "zarr": _zarr,
    "png": lambda: _images("png"),
    "tiff": lambda: _images("tiff"),
    "jpeg": lambda: _images("jpeg"),
    "webp": lambda: _images("webp"),
    "bmp": lambda: _images("bmp"),
    "map": _maps,
    "idx": _idx,
    "usps": _usps,
    "tabular-text": _magic,
    "tabular-npy": _miniboone,
    "tabular-hdf5": _bsds,
    "pair": _pair,
}
