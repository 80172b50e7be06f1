"""BSDS300: small patches of photographs."""

import importlib.util
import io

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.files.atomic import FilePath
from brenier.files.hdf5 import DAMAGE, check_parts, child, is_group, open_hdf5
from brenier_bench.datasets.tabular._files import locate, open_file
from brenier_bench.datasets.tabular._numbers import refuse_pickle
from brenier_bench.datasets.tabular._sources import BSDS300
from brenier_bench.datasets.tabular.result import TabularSet

__all__ = ["load_bsds300"]

_WIDTH = 63
_PARTS = ("train", "validation", "test")


def load_bsds300(path: FilePath | None = None, *, cache: FilePath | None = None) -> TabularSet:
    """BSDS300 as the MAF paper published it: 63 columns, 1,000,000, 50,000 and 250,000 rows.

    The parts are those of the file, and nothing is done to them. They are patches of 8 x 8 pixels, less the mean of
    each, so that the last pixel is minus the sum of the others and is left out.

    Args:
        path: `BSDS300.hdf5` of the archive of the MAF paper; or a folder, zip or tar file with it. Reading it needs
            h5py (`pip install "brenier-bench[tabular]"`). By default the archive is downloaded, once, which needs pooch
            too; every call reads it anew, so that an unpacked one loads sooner.
        cache: Folder of downloads; by default the one that the environment variable `BRENIER_DATA` names, or else the
            user's cache folder.

    Raises:
        InputError: h5py is not installed, or the file is not there, cannot be downloaded, or is not what it should be.

    References: Papamakarios, Pavlakou and Murray 2017, "Masked autoregressive flow for density estimation", section 4.2
    and the supplement on the data sets; their code, gpapamak/maf, datasets/bsds300.py. Data: Martin, Fowlkes, Tal and
    Malik 2001, "A database of human segmented natural images"; Zoran and Weiss 2011, "From learning models of natural
    image patches to whole image restoration".
    """
    if importlib.util.find_spec("h5py") is None:
        raise InputError('reading BSDS300 needs h5py. Run `pip install "brenier-bench[tabular]"`.')

    with open_file(BSDS300, locate(BSDS300, path, cache), BSDS300.files) as file:
        refuse_pickle(file, BSDS300.files[0])
        where = file.where
        # In an archive going back is slow, and HDF5 jumps about.
        content = io.BytesIO(file.handle.read())
    parts: list[NDArray[np.float64]] = []
    try:
        with open_hdf5(content) as store:
            check_parts(store, _PARTS, len(content.getbuffer()), where)
            for name in _PARTS:
                part = child(store, name, where)
                if part is None or is_group(part):
                    raise InputError(f"`{where}` has no array {name!r}, only {sorted(store)}. Is it the original file?")
                if part.ndim != 2 or part.shape[1] != _WIDTH or part.dtype.kind != "f":
                    raise InputError(
                        f"`{where}`: the array {name!r} has the shape {part.shape} and the type {part.dtype}, not "
                        f"{_WIDTH} columns of floating-point numbers. Is it the original file?"
                    )
                parts.append(part.astype(np.float64)[:])
    except InputError:  # a ValueError, too
        raise
    except DAMAGE as error:
        raise InputError(f"`{where}` is not a whole HDF5 file: {error}. Get it again.") from error
    steps = ("The parts are those of BSDS300.hdf5, unchanged (gpapamak/maf, datasets/bsds300.py).",)
    train, validation, test = parts
    return TabularSet("BSDS300", None, train, validation, test, steps)
