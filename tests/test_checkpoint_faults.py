"""Checkpoints that are damaged, belong to something else, or cannot be written."""

import errno
import os
import resource
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest

import checkpointing
from brenier import BrenierMap, CheckpointWarning, InputError
from brenier.checkpoint import keeping
from brenier.checkpoint.folder import Folder
from checkpointing import SMALL, clouds, cut_off, fit, result

SUFFIX = ".safetensors"


@pytest.fixture(autouse=True)
def _at_every_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "COST", float("inf"))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with checkpoints 1 and 2, of a fit that was cut off."""
    folder = tmp_path_factory.mktemp("two") / "work"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeping, "COST", float("inf"))
        cut_off(lambda: fit(folder), 2)
    return folder


@pytest.fixture(scope="module")
def expected() -> tuple:
    return result(fit(None))


def read(folder: Path) -> tuple[int, dict]:
    opened = Folder(folder)
    try:
        saved = opened.load_newest()
    finally:
        opened.close()
    assert saved is not None
    return saved.number, saved.state


def same(one: dict, other: dict) -> bool:
    leaves = [jax.tree.leaves(state) for state in (one, other)]
    return len(leaves[0]) == len(leaves[1]) and all(np.array_equal(a, b) for a, b in zip(*leaves, strict=True))


def remove(path: Path, _: int) -> None:
    path.unlink()


def truncate(path: Path, place: int) -> None:
    os.truncate(path, place)


def overwrite(path: Path, start: int) -> None:
    """Other bytes from a place on."""
    content = bytearray(path.read_bytes())
    for place in range(start, min(start + 16, len(content))):
        content[place] ^= 0x5A
    path.write_bytes(bytes(content))


class TestDamage:
    def test_any_file_in_any_way(self, two: Path, tmp_path: Path) -> None:
        """What is read is exactly what was saved: the newest, where the file was not needed, or the one before."""
        states = {}
        for number in (1, 2):
            folder = shutil.copytree(two, tmp_path / f"only{number}")
            if number == 1:
                (folder / f"2{SUFFIX}").unlink()
            states[number] = read(folder)[1]
        size, fell_back = (two / f"2{SUFFIX}").stat().st_size, set()
        for damage, places in ((remove, [0]), (truncate, [0, 7, 100]), (overwrite, [0, 8, 40, 2000, size - 20])):
            for place in [*places, size // 2]:
                folder = shutil.copytree(two, tmp_path / "damaged")
                damage(folder / f"2{SUFFIX}", place)
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    number, state = read(folder)
                assert same(state, states[number])
                assert [own.category for own in caught] == [CheckpointWarning] * (damage is not remove)
                assert number == 1
                if damage is not remove:
                    fell_back.add(damage.__name__)
                    assert "checkpoint 2 in" in str(caught[0].message)
                    assert (folder / "2.broken").is_file()
                shutil.rmtree(folder)
        assert fell_back == {"truncate", "overwrite"}

    def test_a_newest_that_is_empty(self, two: Path, tmp_path: Path) -> None:
        folder = shutil.copytree(two, tmp_path / "work")
        (folder / f"2{SUFFIX}").write_bytes(b"")
        with pytest.warns(CheckpointWarning, match="checkpoint 2 in"):
            assert read(folder)[0] == 1

    def test_the_fit_goes_on_from_the_one_before(self, two: Path, expected: tuple, tmp_path: Path) -> None:
        folder = shutil.copytree(two, tmp_path / "work")
        overwrite(folder / f"2{SUFFIX}", (folder / f"2{SUFFIX}").stat().st_size // 2)
        with pytest.warns(CheckpointWarning, match="damaged .*; the fit goes on from the one before, 1"):
            fitted = fit(folder)
        assert fitted.resumed_.step == 128
        assert result(fitted) == expected

    def test_all_are_damaged(self, two: Path, tmp_path: Path) -> None:
        folder = shutil.copytree(two, tmp_path / "work")
        for number in "12":
            truncate(folder / f"{number}{SUFFIX}", 100)
        for _ in range(2):  # and no silent start from nothing the second time
            with pytest.raises(InputError, match=r"no checkpoint that can be read, but damaged ones \(2, 1\)"):
                fit(folder)

    def test_another_format(self, two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("brenier.checkpoint.folder._FORMAT", 3)
        with pytest.raises(InputError, match="format 2, while this one reads 3"):
            fit(two)

    def test_other_versions_are_said(self, two: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        folder = shutil.copytree(two, tmp_path / "work")
        monkeypatch.setattr(keeping, "version", lambda name: "0.0.1")
        with pytest.warns(CheckpointWarning, match="while this is brenier 0.0.1, jax 0.0.1"):
            fit(folder)


class TestAnotherFit:
    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"max_steps": 512}, "`max_steps` 256 there and 512 here"),
            ({"random_state": 1}, "`random_state` "),
            ({"training__learning_rate": 0.5}, "`learning_rate` .* there and 0.5 here"),
            ({"scale": [1.0, 2.0]}, r'`scale` "none" there and \[1.0, 2.0\] here'),
            ({"refit": False}, "`refit` true there and false here"),
        ],
    )
    def test_settings(self, two: Path, changes: dict, said: str) -> None:
        with pytest.raises(InputError, match=f"belongs to another fit: .*{said}.*delete this one"):
            fit(two, **changes)

    def test_data(self, two: Path) -> None:
        x, y = clouds()
        y[7, 1] = np.nextafter(y[7, 1], 1.0)
        with pytest.raises(InputError, match=r"belongs to another fit: other points of `Y`\. Name"):
            BrenierMap(**SMALL).fit(x, y, checkpoint=two)

    def test_a_network_of_the_users(self, two: Path, tmp_path: Path) -> None:
        """Functions look alike from outside; their arrays do not."""
        from brenier.potentials import ICNN

        def sized(width: int):
            def make(dim, rng):
                return ICNN(dim, (width,), rng=rng)

            return make

        folder = tmp_path / "work"
        cut_off(lambda: fit(folder, training__potential=sized(8)), 1)
        with pytest.raises(InputError, match="arrays of other shapes or types"):
            fit(folder, training__potential=sized(16))

    def test_a_folder_of_something_else_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "12").mkdir()
        with pytest.raises(InputError, match=r"holds something else \(12\)\. Name one that is empty"):
            fit(tmp_path)
        assert [own.name for own in tmp_path.iterdir()] == ["12"]

    def test_what_is_no_folder(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(InputError, match="cannot be made a folder"):
            fit(tmp_path / "file")
        with pytest.raises(InputError, match="must be the path of a folder, or None; got 3"):
            fit(3)  # type: ignore[arg-type]

    def test_two_processes_at_once(self, tmp_path: Path) -> None:
        with keeping.open_checkpoints(tmp_path), pytest.raises(InputError, match="is in use by another fit"):
            fit(tmp_path)
        with keeping.open_checkpoints(tmp_path):
            pass

    def test_iterables_are_refused_before_training(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("brenier.training.dual.run_steps", None)
        x, y = clouds()
        with pytest.raises(InputError, match="`Y` is an iterable, which cannot be taken up"):
            BrenierMap(**SMALL).fit(x, [y[:300], y[300:]], checkpoint=tmp_path)


def test_folders_of_orbax_are_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "brenier-checkpoints.txt").write_text("Checkpoints of one fit of brenier.\n")
    (tmp_path / "12" / "arrays").mkdir(parents=True)
    with pytest.raises(InputError, match=r"has checkpoints of an earlier version of brenier \(12\), .* by Orbax"):
        fit(tmp_path)
    assert (tmp_path / "12" / "arrays").is_dir()


def test_what_a_killed_process_was_writing_is_removed(two: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(two, tmp_path / "work")
    (folder / ".brenier-0123456789abcdef.tmp").write_bytes(b"half")
    assert read(folder)[0] == 2
    assert not list(folder.glob(".brenier-*"))


def test_two_checkpoints_are_kept(tmp_path: Path) -> None:
    opened = Folder(tmp_path)
    for number in range(1, 12):
        opened.save(number, {"number": number})
    assert opened.numbers == [10, 11]
    opened.close()
    assert read(tmp_path) == (11, {"number": 11})


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", place]).returncode:
        pytest.skip("needs the right to mount a file system")
    yield place
    subprocess.run(["umount", place], check=True)


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with open(path, "wb", buffering=0) as handle:
        try:
            while handle.write(b"\0" * 4096):
                pass
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017 - the end of a loop, not what is tested


class TestDisk:
    def test_full_in_between(self, small_disk: Path, expected: tuple) -> None:
        folder, filler = small_disk / "work", small_disk / "filler"
        numbers: list[list[str]] = []

        def fill_and_free(row) -> None:
            numbers.append(sorted(own.name for own in folder.iterdir() if own.name[0].isdigit()))
            if row.step == 256 and not row.refit:
                fill(filler)
            elif row.refit:
                filler.unlink()

        with pytest.warns(CheckpointWarning, match="No space left on device. The last one, 1, stands") as caught:
            fitted = fit(folder, callbacks=fill_and_free)
        assert [warning.filename for warning in caught] == [checkpointing.__file__]
        assert result(fitted) == expected
        # Nothing is left of the saves that failed, and the later ones were written.
        assert numbers == [[], [f"1{SUFFIX}"], [f"1{SUFFIX}"]]
        assert result(fit(folder)) == expected
        assert fit(folder).resumed_.finished

    def test_full_from_the_start(self, small_disk: Path) -> None:
        fill(small_disk / "filler")
        with pytest.raises(InputError, match=r"cannot be written: No space|cannot be made a folder: No space"):
            fit(small_disk / "work")

    def test_read_only(self, small_disk: Path) -> None:
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
        with pytest.raises(InputError, match="cannot be made a folder: Read-only file system"):
            fit(small_disk / "work")

    def test_no_permission(self, tmp_path: Path) -> None:
        if not os.geteuid():
            pytest.skip("the superuser may write everywhere")
        tmp_path.chmod(0o555)
        with pytest.raises(InputError, match="Permission denied"):
            fit(tmp_path)

    def test_files_that_may_not_grow(self, expected: tuple, tmp_path: Path) -> None:
        """What every user can do: a limit to the size of files, from the first checkpoint on."""
        before = resource.getrlimit(resource.RLIMIT_FSIZE)

        def limit(row) -> None:
            if row.step == 256:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 12, before[1]))

        try:
            with pytest.warns(CheckpointWarning, match="File too large. The last one, 1, stands"):
                fitted = fit(tmp_path, callbacks=limit)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert result(fitted) == expected
        assert read(tmp_path)[1]["fits"]["first"]["steps"] == 128
