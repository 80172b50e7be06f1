"""Images with labels: files in the published formats against values by hand, downloads from a server on this machine.

No test leaves the machine.
"""

import bz2
import gzip
import hashlib
import importlib.util
import re
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pooch
import pytest
import requests
import sklearn.datasets

from asserts import assert_close, assert_same
from brenier import InputError
from brenier_bench.datasets import (
    LabelledImages,
    _archives,
    images,
    load_digits,
    load_fashion_mnist,
    load_kmnist,
    load_mnist,
    load_usps,
)

# Two images of two rows and three columns, and their labels, byte by byte.
IMAGES = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3]) + bytes(
    [0, 51, 102, 153, 204, 255, 255, 0, 0, 0, 0, 1]
)
LABELS = bytes([0, 0, 8, 1, 0, 0, 0, 2]) + bytes([7, 0])
PIXELS = [[[0, 0.2, 0.4], [0.6, 0.8, 1]], [[1, 0, 0], [0, 0, 1 / 255]]]

USPS = "10 " + " ".join(f"{pixel}:-1" for pixel in range(1, 257)) + "\n1 2:1 17:0.5 256:-0.25\n"
"""Two lines: a digit 9 of background alone, and a digit 0 of which three pixels are given."""

LOADERS = [load_mnist, load_fashion_mnist, load_kmnist]


def write(folder: Path, **files: bytes) -> Path:
    """Write files of the test part, whose names have `-` and `.` where the keywords have `_` and `__`."""
    for name, content in files.items():
        (folder / name.replace("__", ".").replace("_", "-")).write_bytes(content)
    return folder


def refuses(load: Callable[[], LabelledImages], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load()


class TestIdx:
    @pytest.mark.parametrize("load", LOADERS)
    @pytest.mark.parametrize("compress", [gzip.compress, bytes])
    @pytest.mark.parametrize("suffix", ["", ".gz"])
    @pytest.mark.parametrize("mark", ["-", "."])
    def test_every_way_to_store_the_files(self, tmp_path: Path, load, compress, suffix: str, mark: str) -> None:
        (tmp_path / f"t10k-images{mark}idx3-ubyte{suffix}").write_bytes(compress(IMAGES))
        (tmp_path / f"t10k-labels{mark}idx1-ubyte{suffix}").write_bytes(compress(LABELS))
        result = load("test", path=tmp_path)
        assert result.images.dtype == np.float32
        assert_close(result.images, PIXELS, atol=1e-7)
        assert_same(result.labels, np.array([7, 0]))

    def test_the_names_of_the_classes(self, tmp_path: Path) -> None:
        write(tmp_path, t10k_images_idx3_ubyte=IMAGES, t10k_labels_idx1_ubyte=LABELS)
        # The class of the first image, label 7, is the eighth.
        assert [load("test", path=tmp_path).names[7] for load in LOADERS] == ["7", "Sneaker", "ya"]
        assert [len(set(load("test", path=tmp_path).names)) for load in LOADERS] == [10, 10, 10]

    def test_the_parts_are_told_apart(self, tmp_path: Path) -> None:
        write(tmp_path, t10k_images_idx3_ubyte=IMAGES, t10k_labels_idx1_ubyte=LABELS)
        refuses(lambda: load_mnist(path=tmp_path), "has no file `train-images-idx3-ubyte` or `train-images-idx3-ubyte.")
        write(tmp_path, train_images_idx3_ubyte=IMAGES, train_labels_idx1_ubyte=LABELS[:-1] + b"\x05")
        assert load_mnist(path=tmp_path).labels.tolist() == [7, 5]
        assert load_mnist("test", path=tmp_path).labels.tolist() == [7, 0]

    def test_one_of_the_files_stands_for_its_folder(self, tmp_path: Path) -> None:
        write(tmp_path, t10k_images_idx3_ubyte=IMAGES, t10k_labels_idx1_ubyte=LABELS)
        result = load_mnist("test", path=str(tmp_path / "t10k-labels-idx1-ubyte"))
        assert result.labels.tolist() == [7, 0]

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "is no IDX file: it begins with nothing"),
            (IMAGES[:3], "is no IDX file: it begins with 00 00 08, not with two zero bytes"),
            (b"<html>", "is no IDX file: it begins with 3c 68 74 6d, not with two zero bytes"),
            (b"\0\0\x0d\x03" + IMAGES[4:], "has entries of the IDX type 0x0d; only unsigned bytes, type 0x08"),
            (LABELS, "has 1 axes, not 3. Images have 3, labels 1; are the two swapped"),
            (IMAGES[:15], "is incomplete: it ends after 15 bytes, in its header of 16"),
            (IMAGES[:-1], r"is incomplete: its header gives the shape \(2, 2, 3\), that is 12 bytes, and 11 follow"),
            (IMAGES + b"\0", r"is too long: its header gives the shape \(2, 2, 3\), that is 12 bytes, and 13 follow"),
            (struct.pack(">4B3I", 0, 0, 8, 3, 0, 28, 28), r"is empty: its header gives the shape \(0, 28, 28\)"),
            (gzip.compress(IMAGES, mtime=0)[:-9], "is damaged or incomplete: Compressed file ended before"),
            (gzip.compress(IMAGES, mtime=0)[:-8] + bytes(8), "is damaged or incomplete: CRC check failed"),
            (gzip.compress(IMAGES, mtime=0)[:10] + b"\xff" * 20, "is damaged or incomplete: .* invalid block type"),
        ],
    )
    def test_faults_of_a_file(self, tmp_path: Path, content: bytes, message: str) -> None:
        write(tmp_path, t10k_images_idx3_ubyte__gz=content, t10k_labels_idx1_ubyte__gz=LABELS)
        refuses(lambda: load_mnist("test", path=tmp_path), "t10k-images-idx3-ubyte.gz` " + message)

    def test_files_that_do_not_belong_together(self, tmp_path: Path) -> None:
        write(tmp_path, t10k_images_idx3_ubyte=IMAGES, t10k_labels_idx1_ubyte=b"\0\0\x08\x01\0\0\0\x03\1\2\3")
        refuses(lambda: load_mnist("test", path=tmp_path), "idx3-ubyte` has 2 images, but .*idx1-ubyte` has 3 labels")
        write(tmp_path, t10k_labels_idx1_ubyte=LABELS[:-1] + b"\x0a")
        refuses(lambda: load_mnist("test", path=tmp_path), "has the label 10, but MNIST has 10 classes, from 0")


class TestArguments:
    def test_parts_and_folders_that_do_not_exist(self, tmp_path: Path) -> None:
        refuses(lambda: load_mnist("valid", path=tmp_path), "`split` must be 'train' or 'test'; got 'valid'")
        refuses(lambda: load_usps(["test"], path=tmp_path), r"`split` must be 'train' or 'test'; got \['test'\]")
        refuses(lambda: load_usps(path=tmp_path / "none"), r"`path` \(.*none\) does not exist")
        refuses(lambda: load_usps(path=tmp_path, cache=tmp_path), r"`cache` \(.*\) is for downloads, and `path` needs")

    def test_a_missing_file_is_named_in_every_spelling(self, tmp_path: Path) -> None:
        message = (
            "has no file `t10k-images-idx3-ubyte` or `t10k-images-idx3-ubyte.gz` or `t10k-images.idx3-ubyte` or "
            "`t10k-images.idx3-ubyte.gz` of KMNIST. "
            "Download http://codh.rois.ac.jp/kmnist/dataset/kmnist/t10k-images-idx3-ubyte.gz into it."
        )
        (tmp_path / "t10k-images-idx3-ubyte").mkdir()
        refuses(lambda: load_kmnist("test", path=tmp_path), re.escape(message))
        refuses(lambda: load_usps("test", path=tmp_path), "has no file `usps.t` or `usps.t.bz2` of USPS")

    def test_a_file_that_cannot_be_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write(tmp_path, usps__t=USPS.encode())

        def refuse(path: Path) -> bytes:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "read_bytes", refuse)
        refuses(lambda: load_usps("test", path=tmp_path), "usps.t` cannot be read: Permission denied. Check the path")


class TestUsps:
    @pytest.mark.parametrize(("name", "compress"), [("usps.t.bz2", bz2.compress), ("usps.t", bytes)])
    def test_by_hand(self, tmp_path: Path, name: str, compress: Callable[[bytes], bytes]) -> None:
        (tmp_path / name).write_bytes(compress(USPS.encode()))
        result = load_usps("test", path=tmp_path)
        expected = np.zeros((2, 16, 16), np.float32)
        expected[1] = 0.5
        # Pixel 2 is beside the first, pixel 17 below it, pixel 256 the last.
        expected[1, 0, 1], expected[1, 1, 0], expected[1, 15, 15] = 1.0, 0.75, 0.375
        assert_same(result.images, expected)
        assert_same(result.labels, np.array([9, 0]))
        assert result.names == tuple("0123456789")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "is empty"),
            (b"<html>\n", "is not in the text format of LIBSVM with 256 pixels a line: could not convert .*'<html>'"),
            (b"1 257:1\n", "is not in the text format of LIBSVM with 256 pixels a line: .* contains 257 features"),
            (b"1 0:1\n", "is not in the text format of LIBSVM with 256 pixels a line: Invalid index 0"),
            (b"1 1:1\n2 3:-1.01\n", "image 2: pixels of USPS lie between -1 and 1"),
            (b"1 1:nan\n", "image 1: pixels of USPS lie between -1 and 1"),
            (b"1 1:1\n0 1:1\n", "image 2: labels of USPS go from 1 to 10; got 0"),
            (b"1.5 1:1\n", "image 1: labels of USPS go from 1 to 10; got 1.5"),
            (bz2.compress(USPS.encode())[:-5], "is damaged or incomplete: Compressed file ended before"),
            (b"BZh9" + bytes(40), "is damaged or incomplete: Invalid data stream"),
        ],
    )
    def test_faults_of_a_file(self, tmp_path: Path, content: bytes, message: str) -> None:
        write(tmp_path, usps__bz2=content)
        refuses(lambda: load_usps(path=tmp_path), "usps.bz2`,? " + message)


def test_the_digits_of_scikit_learn() -> None:
    theirs, ours = sklearn.datasets.load_digits(), load_digits()
    assert_same(ours.images * 16, theirs.images.astype(np.float32))
    assert_same(ours.labels, theirs.target.astype(np.int64))
    assert ours.names == tuple(str(name) for name in theirs.target_names)
    assert ours.images.shape == (1797, 8, 8)
    assert (ours.images.min(), ours.images.max()) == (0.0, 1.0)


def test_mnist_itself(shared_data: Path) -> None:
    result = load_mnist("test", path=shared_data / "mnist")
    assert result.images.shape == (10000, 28, 28)
    assert np.bincount(result.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert result.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert (result.images.min(), result.images.max()) == (0.0, 1.0)
    # The file without its header of 16 bytes, which the format puts image by image and row by row.
    raw = gzip.decompress((shared_data / "mnist" / "t10k-images-idx3-ubyte.gz").read_bytes())[16:]
    assert_same(np.rint(result.images * 255).astype(np.uint8).tobytes(), raw)


class Server:
    """Web server on this machine that keeps a list of what was asked for.

    Attributes:
        url: Its address.
        files: Contents by path, for instance `/one/name`; anything else is not found.
        asked: Paths, in order.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                content = outer.files.get(self.path)
                self.send_response(404 if content is None else 200)
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def stop(self) -> None:
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
            self._http.server_close()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server with two mirrors of a small MNIST, which takes the place of the real one."""
    server = Server()
    contents = {"t10k-images-idx3-ubyte.gz": gzip.compress(IMAGES), "t10k-labels-idx1-ubyte.gz": gzip.compress(LABELS)}
    server.files = {f"/{mirror}/{name}": content for mirror in "ab" for name, content in contents.items()}
    archive = _archives.MNIST._replace(
        mirrors=(f"{server.url}/a/", f"{server.url}/b/"),
        test=tuple(_archives.File(name, hashlib.sha256(content).hexdigest()) for name, content in contents.items()),
    )
    monkeypatch.setattr(images, "MNIST", archive)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("BRENIER_DATA", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "user" / name)
    yield server
    server.stop()


def stored(cache: Path) -> list[str]:
    """Files below a folder, of any name."""
    return sorted(str(path.relative_to(cache)) for path in cache.rglob("*") if not path.is_dir())


BOTH = ["mnist/t10k-images-idx3-ubyte.gz", "mnist/t10k-labels-idx1-ubyte.gz"]


class TestDownload:
    def test_once_and_from_the_first_mirror(self, tmp_path: Path, server: Server) -> None:
        first = load_mnist("test", cache=tmp_path)
        assert_close(first.images, PIXELS, atol=1e-7)
        assert stored(tmp_path) == BOTH
        assert server.asked == ["/a/t10k-images-idx3-ubyte.gz", "/a/t10k-labels-idx1-ubyte.gz"]
        server.stop()
        assert_same(load_mnist("test", cache=str(tmp_path)).images, first.images)
        # What was downloaded can be passed by its folder.
        assert_same(load_mnist("test", path=tmp_path / "mnist").images, first.images)

    def test_the_next_mirror_where_one_fails(self, tmp_path: Path, server: Server) -> None:
        del server.files["/a/t10k-images-idx3-ubyte.gz"]
        server.files["/a/t10k-labels-idx1-ubyte.gz"] = b"<html>Log in first</html>"
        assert load_mnist("test", cache=tmp_path).labels.tolist() == [7, 0]
        images, labels = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"
        assert server.asked == [f"/a/{images}", f"/b/{images}", f"/a/{labels}", f"/b/{labels}"]
        assert stored(tmp_path) == BOTH

    def test_a_wrong_checksum_leaves_nothing(self, tmp_path: Path, server: Server) -> None:
        for mirror in "ab":
            server.files[f"/{mirror}/t10k-images-idx3-ubyte.gz"] = gzip.compress(IMAGES[:-1] + b"\2")
        digest = hashlib.sha256(gzip.compress(IMAGES)).hexdigest()
        message = f"/b/t10k-images-idx3-ubyte.gz gave a file with another SHA-256 than {digest}, which was dropped"
        refuses(lambda: load_mnist("test", cache=tmp_path), message)
        assert len(server.asked) == 2
        assert stored(tmp_path) == []

    def test_a_damaged_file_in_the_cache_is_replaced(self, tmp_path: Path, server: Server) -> None:
        (tmp_path / "mnist").mkdir()
        (tmp_path / BOTH[0]).write_bytes(gzip.compress(IMAGES)[:-1])
        assert_close(load_mnist("test", cache=tmp_path).images, PIXELS, atol=1e-7)
        assert len(server.asked) == 2

    def test_without_a_network(self, tmp_path: Path, server: Server) -> None:
        server.stop()
        with pytest.raises(InputError) as caught:
            load_mnist("test", cache=tmp_path)
        name = "t10k-images-idx3-ubyte.gz"
        assert str(caught.value) == (
            f"`{name}` of MNIST could not be downloaded: {server.url}/a/{name} cannot be reached (ConnectionError); "
            f"{server.url}/b/{name} cannot be reached (ConnectionError). Download `{name}` and "
            "`t10k-labels-idx1-ubyte.gz` by other means, put them into a folder under these names, and pass it as "
            "`path`."
        )
        assert isinstance(caught.value.__cause__, requests.ConnectionError)
        assert stored(tmp_path) == []

    def test_a_refusal_of_the_server_is_quoted(self, tmp_path: Path, server: Server) -> None:
        server.files.clear()
        message = (
            "/a/t10k-images-idx3-ubyte.gz cannot be reached .HTTP status 404.; http.*/b/.* .HTTP status 404.. Down"
        )
        refuses(lambda: load_mnist("test", cache=tmp_path), message)

    def test_where_downloads_go(self, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        load_mnist("test")
        assert stored(tmp_path / "user" / "brenier") == BOTH
        monkeypatch.setenv("BRENIER_DATA", str(tmp_path / "variable"))
        load_mnist("test")
        assert stored(tmp_path / "variable") == BOTH
        load_mnist("test", cache=tmp_path / "argument")
        assert stored(tmp_path / "argument") == BOTH
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        load_mnist("test", cache="~/data")
        assert stored(tmp_path / "home" / "data") == BOTH

    def test_a_cache_that_cannot_be_written(self, tmp_path: Path, server: Server) -> None:
        (tmp_path / "file").write_text("in the way")
        message = "file/mnist` cannot hold downloads: .* Name another folder as `cache`, or in .* variable BRENIER_DATA"
        refuses(lambda: load_mnist("test", cache=tmp_path / "file"), message)
        assert server.asked == []

    def test_usps(self, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        content = bz2.compress(USPS.encode())
        server.files["/u/usps.bz2"] = content
        file = _archives.File("usps.bz2", hashlib.sha256(content).hexdigest())
        monkeypatch.setattr(images, "USPS", _archives.USPS._replace(mirrors=(f"{server.url}/u/",), train=(file,)))
        assert load_usps(cache=tmp_path).labels.tolist() == [9, 0]
        assert stored(tmp_path) == ["usps/usps.bz2"]

    def test_without_pooch(self, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        monkeypatch.setitem(sys.modules, "pooch", None)  # makes importing it fail
        message = (
            r'downloading MNIST needs pooch. Run `pip install "brenier-bench\[images\]"`, or pass the folder .* `path`'
        )
        refuses(lambda: load_mnist("test", cache=tmp_path), message)
        assert server.asked == []
        write(tmp_path, t10k_images_idx3_ubyte=IMAGES, t10k_labels_idx1_ubyte=LABELS)
        assert load_mnist("test", path=tmp_path).labels.tolist() == [7, 0]


def test_the_table_of_addresses() -> None:
    archives = [_archives.MNIST, _archives.FASHION_MNIST, _archives.KMNIST, _archives.USPS]
    digests = [file.sha256 for archive in archives for split in ("train", "test") for file in archive.files(split)]
    assert len(set(digests)) == len(digests) == 14
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)
    assert all(re.fullmatch("https?://[^ ]+/", mirror) for archive in archives for mirror in archive.mirrors)
    assert len({archive.folder for archive in archives}) == 4
