"""What is done to valid files: to their bytes, and inside of them with checksums made right again."""

import gzip
import io
import json
import struct
import zipfile
import zlib
from random import Random
from typing import Any

import numpy as np

from fuzz.corpus import npy, npz

__all__ = ["mutate", "mutate_bytes"]

NUMBERS = [0, 1, 2, 3, 127, 128, 255, 256, 65535, 65536, 10**6, 10**9, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1]
NUMBERS += [2**63, 2**64 - 1, 10**30, -1, -2, -(2**31), -(2**63)]
VALUES: list[Any] = [None, True, False, "", "x", "\0", "\ud800", [], {}, [1], [[1]], [None], {"a": 1}, 0.5, -0.5, 1e308]
VALUES += [1e-320, float("nan"), float("inf"), -float("inf"), *NUMBERS, "icnn", "number", "label", ["a", "b"]]
FIELDS = [
    "nan",
    "inf",
    "-inf",
    "1e999",
    "0x10",
    "1_000",
    "",
    "١٢",
    "é",
    '"',
    "\0",
    "NA",
    "1;2",
    " 1 ",
    "1" * 400,
    "1e-999",
]
FIELDS += ["\n", "\r", ",", "\t", '"a\nb"', "c", "0", "-0", "9" * 25, "true", "None", "\ufeff", "_"]
DTYPES = [
    "<f8",
    ">f8",
    "<f4",
    ">f2",
    "<f16",
    "|O",
    "<c16",
    "|b1",
    "<U3",
    ">U3",
    "|S2",
    "|V8",
    "<M8[ns]",
    "<m8",
    "<i8",
    "|u1",
]
DTYPES += ["<U99999999", "|S0", "<f3", "f", "O", "<M8[9Y]", "<f8,<f8", "U1", "|V0", "<u8", "a5", "|i1", "q"]


def mutate(name: str, data: bytes, rng: Random) -> bytes:
    """Another file for the reader `name`: its structure changed where it has one that is known here, or its bytes."""
    for kind, change in _INSIDE.items():
        if kind in name and rng.random() < 0.7:
            try:
                return change(data, rng)
            except Exception:  # noqa: BLE001 - what is not whole any more has no structure to change
                break
    return mutate_bytes(data, rng)


def mutate_bytes(data: bytes, rng: Random) -> bytes:
    """Bits, bytes and numbers changed, parts taken out, doubled or swapped, the end cut off."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
        place, kind = rng.randrange(len(out) + 1), rng.randrange(8)
        width = rng.choice((1, 2, 4, 8))
        if kind == 0 and place < len(out):
            out[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[place : place + 1] = bytes([rng.randrange(256)])
        elif kind == 2:
            number = rng.choice(NUMBERS) % (1 << (8 * width))
            out[place : place + width] = number.to_bytes(width, rng.choice(("little", "big")))
        elif kind == 3:
            del out[place : place + rng.choice((1, 2, 8, 64))]
        elif kind == 4:
            part = out[place : place + rng.choice((1, 4, 16, 64))]
            other = rng.randrange(len(out) + 1)
            out[other:other] = part * rng.choice((1, 2, 9))
        elif kind == 5 and rng.random() < 0.3:
            del out[place:]
        elif kind == 6:
            out[place:place] = rng.choice(FIELDS).encode()
        else:
            out[place:place] = rng.randbytes(width)
    return bytes(out)


def _npy(data: bytes, rng: Random) -> bytes:
    """A .npy file with another header, its own entries behind it."""
    kind = rng.randrange(4)
    if kind == 0:
        return mutate_bytes(data, rng)
    if kind == 1:
        array = np.load(io.BytesIO(data), allow_pickle=False)
        special = rng.choice([np.nan, np.inf, 1e300, -0.0, 5e-324, 255])
        with np.errstate(all="ignore"):
            array = np.array(array)
            if array.size and array.dtype.kind in "fiu":
                array.flat[rng.randrange(array.size)] = special if array.dtype.kind == "f" else 1
            shaped = rng.choice([array, array[0], array[:0], array[:, :0], array[None], array.T, array.reshape(-1)])
        return npy(shaped)
    shape = tuple(rng.choice(NUMBERS) for _ in range(rng.choice((0, 1, 2, 2, 2, 3, 40))))
    values = {"descr": rng.choice(DTYPES), "fortran_order": rng.choice([True, False, 0, None]), "shape": shape}
    if rng.random() < 0.5:
        values["shape"] = rng.choice([(3, 2), (2, 3), (1, 1), (10**9, 2), (10**9, 10**9), (1, 10**8), (0, 10**9)])
    text = repr(values)
    if rng.random() < 0.2:
        values["descr"] = [("a", rng.choice(DTYPES)), ("b", rng.choice(DTYPES), rng.choice([(2,), (10**9,), ()]))]
        text = repr(values)
    if rng.random() < 0.3:
        text = rng.choice(
            [
                text[:-1],
                text + "#",
                "(" * 3000,
                "{" * 400,
                "1is 2",
                text.replace("3", "3L"),
                "'\\d'",
                "[" + text + "]",
                "__import__('os').system('true')",
                text.replace("2", "0x2"),
                text + " " * 20000,
                "\0",
                "{}",
                "'''",
                "0_7",
            ]
        )
    if rng.random() < 0.2:
        text = mutate_bytes(text.encode("latin1", "replace"), rng).decode("latin1")
    version = rng.choice([1, 1, 1, 2, 3, 4, 255])
    head = text.encode("latin1", "replace") + b"\n"
    length = rng.choice([len(head)] * 6 + [0, 65535, len(head) - 1])
    size = struct.pack("<H", length & 0xFFFF) if version == 1 else struct.pack("<I", length)
    return b"\x93NUMPY" + bytes([version, 0]) + size + head + rng.choice([data[-48:], bytes(48), b""])


def _zip(data: bytes, rng: Random) -> bytes:
    """An archive in which one member, a name or a declared size is another."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(members))
    kind = rng.randrange(5)
    if kind <= 1:
        members[name] = _npy(members[name], rng) if name.endswith(".npy") else mutate_bytes(members[name], rng)
    elif kind == 2:
        names = ["../../evil.npy", "/etc/passwd", "points", "c.npy", "columns.npy", "a" * 60000, "\x1b[2J.npy", ".npy"]
        members[rng.choice(names)] = members.pop(name) if rng.random() < 0.5 else npy(np.array(["x", "y"]))
    elif kind == 3:
        members[name] += bytes(rng.choice([10, 10**5, 3 * 10**6]))
    method = rng.choice(
        [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
    )
    made = npz(members, method)
    if kind == 4:
        out = bytearray(made)
        place = out.rfind(b"PK\x01\x02") + rng.choice([8, 10, 20, 24, 28, 30, 42])
        out[place : place + 4] = (rng.choice(NUMBERS) % (1 << 32)).to_bytes(4, "little")
        made = bytes(out)
    return made


def _json(value: Any, rng: Random) -> Any:
    """A JSON value with one entry somewhere in it replaced, dropped or doubled."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        if rng.random() < 0.12:
            return {own: entry for own, entry in value.items() if own != key}
        if rng.random() < 0.05:
            return value | {rng.choice(["", "self", "x", "cost", "degree", "base", "root"]): rng.choice(VALUES)}
        return value | {key: _json(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.7:
        place = rng.randrange(len(value))
        return rng.choice(
            [[*value[:place], _json(value[place], rng), *value[place + 1 :]], value[:-1], [*value, value[0]]]
        )
    if isinstance(value, int | float) and not isinstance(value, bool) and rng.random() < 0.4:
        return rng.choice([-value, value + 1, value * 1e9, float(value), value * 10**9])
    return rng.choice(VALUES)


def _map(data: bytes, rng: Random) -> bytes:
    """A map whose description or tensors are others, with the checksum that belongs to them."""
    from safetensors.numpy import load, save

    from brenier.maps.mapfile import _digest

    size = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + size])["__metadata__"]
    tensors, description = load(data), json.loads(metadata["brenier"])
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if rng.random() < 0.6:
            description = _json(description, rng)
            continue
        name = rng.choice(list(tensors))
        array = np.array(tensors[name])
        kind = rng.randrange(7)
        if kind == 0 and array.size and array.dtype.kind == "f":
            with np.errstate(all="ignore"):
                array.flat[rng.randrange(array.size)] = rng.choice([np.nan, np.inf, 0.0, -1.0, 1e300, -np.inf])
        elif kind == 1:
            array = rng.choice(
                [array[None], array.reshape(-1), array.T, np.zeros(()), array[..., :0] if array.ndim else array]
            )
        elif kind == 2:
            kinds = [np.int64, np.float16, np.float64, np.float32, bool, np.uint8, np.complex64]
            with np.errstate(all="ignore"):
                array = np.nan_to_num(array).astype(rng.choice(kinds))
        elif kind == 3:
            array = np.zeros(tuple(own + rng.choice((0, 1, -own)) for own in array.shape), array.dtype)
        elif kind == 4:
            del tensors[name]
            continue
        elif kind == 5:
            name = rng.choice(["coordinates.root", "potential.99", "coordinates.bend", "x", "coordinates.scale"])
        else:
            array = np.zeros_like(array)
        tensors[name] = np.ascontiguousarray(array) if array.ndim else array
    text = json.dumps(description, sort_keys=rng.random() < 0.5)
    if rng.random() < 0.1:
        at = rng.randrange(len(text))
        text = rng.choice(
            [text[:at] + text[at:].replace("{", '{"kind":"mlp",', 1), "[" * 9000, text.replace('"', "'"), text[:at]]
        )
    return save(tensors, metadata={"brenier": text, "sha256": _digest(text, tensors)})


def _hdf5(data: bytes, rng: Random) -> bytes:
    """A file of HDF5 in which one object, attribute or link is another."""
    import h5py

    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        found: list[str] = []
        file.visit(found.append)
        name = rng.choice(found)
        kind = rng.randrange(6)
        if kind == 0 and isinstance(file[name], h5py.Dataset):
            whole = np.asarray(file[name][()])
            del file[name]
            special = rng.choice([np.nan, np.inf, -1, 10**9, -(2**31), 2**31 - 1, 0])
            if whole.dtype.kind in "fi" and whole.size:
                with np.errstate(all="ignore"):
                    whole.flat[rng.randrange(whole.size)] = special
            file[name] = whole
        elif kind == 1:
            attributes = file[name].attrs
            own = rng.choice([*attributes, "encoding-type", "shape", "_index"])
            value = rng.choice(
                ["", "array", "csr_matrix", "csc_matrix", "dict", "dataframe", "categorical", "string-array"]
            )
            shapes = [[3, 2], [2**62, 2**62], [-1, 2], [3], 7, [10**9, 2], [0, 0]]
            attributes[own] = rng.choice([value, value, value, *shapes, float("nan")])
        elif kind == 2:
            del file[name]
            links = [
                h5py.ExternalLink("/etc/passwd", "/"),
                h5py.SoftLink("/" + name),
                h5py.SoftLink("/"),
                h5py.SoftLink("/obs"),
            ]
            file[name] = rng.choice([*links, h5py.ExternalLink("input.h5ad", "/X")])
        elif kind == 3:
            del file[name]
        elif kind == 4:
            del file[name]
            shape = rng.choice([(10**9, 2), (3, 2), (3, 10**7), (), (0, 2), (3,), (2, 2, 2), (10**5, 10**5)])
            file.create_dataset(
                name, shape, rng.choice(["f8", "i1", "f2", "S3", ">f4", "c8", "?"]), chunks=True if shape else None
            )
        else:
            del file[name]
            file[name] = rng.choice(["x", b"\xff", np.float64(1), np.arange(3), np.array([b"a", b"\xff", b"c"])])
    return buffer.getvalue()


def _metadata(data: bytes, rng: Random) -> bytes:
    """Metadata of Zarr with another field."""
    said = json.loads(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        said = _json(said, rng)
    return json.dumps(said).encode()


def _text(data: bytes, rng: Random) -> bytes:
    """A table in text with another field, delimiter or line."""
    text, mark = data.decode("utf-8", "replace"), "\t" if b"\t" in data else ","
    rows = [line.split(mark) for line in text.split("\n")]
    for _ in range(rng.choice((1, 1, 2, 3))):
        row = rng.choice(rows)
        kind = rng.randrange(5)
        if kind <= 1:
            row[rng.randrange(len(row))] = rng.choice(FIELDS)
        elif kind == 2:
            rows.insert(rng.randrange(len(rows) + 1), list(row))
        elif kind == 3:
            row.append(rng.choice(FIELDS))
        elif rng.random() < 0.1:
            row.extend(["1"] * rng.choice((100, 20000)))
    return "\n".join(mark.join(row) for row in rows).encode("utf-8", "replace")


def _png(data: bytes, rng: Random) -> bytes:
    """A PNG with one chunk changed and its checksum made right."""
    chunks, place = [], 8
    while place + 12 <= len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        chunks.append([data[place + 4 : place + 8], data[place + 8 : place + 8 + size]])
        place += 12 + size
    own = rng.choice(chunks)
    if own[0] == b"IDAT" and rng.random() < 0.5:
        own[1] = zlib.compress(mutate_bytes(zlib.decompress(own[1]), rng))
    else:
        own[1] = mutate_bytes(own[1], rng)
    if rng.random() < 0.2:
        kinds = [b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf", b"tRNS", b"PLTE", b"acTL", b"fcTL", b"fdAT", b"IHDR"]
        chunks.insert(rng.randrange(len(chunks)), [rng.choice(kinds), zlib.compress(bytes(rng.choice((9, 10**6))))])
    body = b"".join(struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks)
    return data[:8] + body


def _gzip(data: bytes, rng: Random) -> bytes:
    """What is compressed, changed and compressed again."""
    return gzip.compress(mutate_bytes(gzip.decompress(data), rng), mtime=0)


_INSIDE = {
    "npy": _npy,
    "npz": _zip,
    "pair": _zip,
    "csv": _text,
    "tsv": _text,
    "map": _map,
    "h5ad": _hdf5,
    "zarr": _metadata,
    "hdf5": _hdf5,
    "png": _png,
    "idx": _gzip,
    "usps": _text,
    "tabular-text": _zip,
}
"""By a part of the target's name; the first that fits."""
