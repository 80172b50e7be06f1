"""Where the tables are published, and the checksums that public code records for their files.

The archive of the five sets and its MD5 are those of the MAF paper's authors (Zenodo, record 1161203), as public code
that downloads it states them. The SHA-256 of MAGIC is recorded in the Julia package UCIData.jl and elsewhere. For the
other files of the UCI repository no checksum was found in public code, so that they are never downloaded: messages
give their addresses.
"""

from typing import NamedTuple

__all__ = ["BSDS300", "GAS", "HEPMASS", "MAGIC", "MINIBOONE", "POWER", "Download", "Source"]


class Download(NamedTuple):
    """A file that can be downloaded.

    Attributes:
        folder: Its folder in the cache.
        name: Its name there.
        urls: Its addresses, in the order in which they are tried.
        checksum: `sha256:...` or `md5:...`.
    """

    folder: str
    name: str
    urls: tuple[str, ...]
    checksum: str


class Source(NamedTuple):
    """A data set as it is published.

    Attributes:
        title: What papers and messages call it.
        folder: Its folder in the archive of the MAF paper.
        files: Names of files that hold it, the one that is preferred first.
        address: Where a person gets the original.
        download: The file to download; `None` where nothing usable has a known checksum.
    """

    title: str
    folder: str
    files: tuple[str, ...]
    address: str
    download: Download | None


_ARCHIVE = Download(
    "maf",
    "data.tar.gz",
    (
        "https://zenodo.org/record/1161203/files/data.tar.gz",
        "https://zenodo.org/api/records/1161203/files/data.tar.gz/content",
    ),
    "md5:9b9c9b0375315ad270eba4ce80c093ab",
)

_UCI = "https://archive.ics.uci.edu/static/public/"

POWER = Source(
    "POWER",
    "power",
    # The published rows first: how they were made of the original file is known in part.
    ("data.npy", "household_power_consumption.txt"),
    f"{_UCI}235/individual+household+electric+power+consumption.zip",
    _ARCHIVE,
)

GAS = Source(
    "GAS",
    "gas",
    ("ethylene_CO.txt", "ethylene_CO.pickle"),
    f"{_UCI}322/gas+sensor+array+under+dynamic+gas+mixtures.zip",
    # The archive has this set as a pickle alone, which would run code of its author's choice.
    None,
)

HEPMASS = Source("HEPMASS", "hepmass", ("1000_train.csv", "1000_test.csv"), f"{_UCI}347/hepmass.zip", _ARCHIVE)

MINIBOONE = Source(
    "MINIBOONE",
    "miniboone",
    ("data.npy", "MiniBooNE_PID.txt"),
    f"{_UCI}199/miniboone+particle+identification.zip",
    _ARCHIVE,
)

BSDS300 = Source("BSDS300", "BSDS300", ("BSDS300.hdf5",), "https://zenodo.org/record/1161203", _ARCHIVE)

MAGIC = Source(
    "MAGIC",
    "magic",
    ("magic04.data",),
    f"{_UCI}159/magic+gamma+telescope.zip",
    Download(
        "magic",
        "magic04.data",
        ("https://archive.ics.uci.edu/ml/machine-learning-databases/magic/magic04.data",),
        "sha256:e9314b7ebd4b4b59a3b3d65f7316663963777b16a46786877651dbbaa640b36a",
    ),
)
