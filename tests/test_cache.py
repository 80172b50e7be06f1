"""Compiled programs on disk: found again, bounded, private, shared by processes, and never in the way."""

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from brenier import InputError, enable_cache
from brenier._cache import claim_cache, kept_programs
from commands import as_json, run

MAP = Path(__file__).parent / "formats" / "1-gaussian.brenier"
KEY = "0123456789abcdef" * 4


@pytest.fixture
def points(tmp_path: Path, rng: np.random.Generator) -> Path:
    np.save(tmp_path / "points.npy", rng.normal(size=(20, 2)))
    return tmp_path / "points.npy"


class Ended(NamedTuple):
    """What a command said on stderr, and how many of its programs JAX found on disk and how many it did not."""

    said: list[str]
    hits: int
    misses: int


def start(*args: object, **changes: object) -> "subprocess.Popen[str]":
    """A command in a process of its own, without the cache of these tests, that says what is found on disk."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "BRENIER_"))}
    kept |= {"JAX_PLATFORMS": "cpu", "JAX_LOG_COMPILES": "1", "JAX_EXPLAIN_CACHE_MISSES": "1"}
    kept |= {name: str(value) for name, value in changes.items()}
    command = [sys.executable, "-m", "brenier", *map(str, args)]
    return subprocess.Popen(command, env=kept, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(process: "subprocess.Popen[str]") -> Ended:
    _, text = process.communicate(timeout=300)
    assert process.returncode == 0, text
    lines = text.splitlines()
    said = [line for line in lines if line.startswith("warning: ") or "Warning" in line]
    hits, misses = (
        sum(piece in line for line in lines) for piece in ("compilation cache hit", "COMPILATION CACHE MISS")
    )
    return Ended(said, hits, misses)


def transform(points: Path, *before: str, **changes: object) -> Ended:
    return end(start(*before, "transform", MAP, points, "-o", points.with_name("moved.npy"), **changes))


def entry(root: Path, name: str, size: int, used: float) -> Path:
    """A program of so many bytes on disk."""
    path = claim_cache(root, 10**9) / f"jit_{name}-{KEY}-cache"
    path.write_bytes(bytes(size))
    os.utime(path, (used, used))
    return path


class TestTheCommandLine:
    def test_programs_are_compiled_once(self, points: Path, tmp_path: Path) -> None:
        root = tmp_path / "cache"
        first = transform(points, BRENIER_CACHE_DIR=root)
        again = transform(points, BRENIER_CACHE_DIR=root)
        assert first.misses == len(kept_programs(root)) > 1
        assert (again.hits, again.misses) == (first.misses, 0)
        assert transform(points, "--no-cache", BRENIER_CACHE_DIR=root) == Ended([], 0, 0)
        assert first.said == again.said == []

    def test_processes_at_once_share_the_folder(self, points: Path, tmp_path: Path) -> None:
        root = tmp_path / "cache"
        command = ("transform", MAP, points, "-o")
        both = [start(*command, tmp_path / f"{place}.npy", BRENIER_CACHE_DIR=root) for place in range(2)]
        counts = [end(process) for process in both]
        programs = kept_programs(root)
        assert [ended.hits + ended.misses for ended in counts] == [len(programs)] * 2
        np.testing.assert_array_equal(*(np.load(tmp_path / f"{place}.npy") for place in range(2)))
        assert transform(points, BRENIER_CACHE_DIR=root) == Ended([], len(programs), 0)

    def test_the_folder_that_jax_was_given_is_left_as_it_is(self, points: Path, tmp_path: Path) -> None:
        ours, theirs = tmp_path / "ours", tmp_path / "theirs"
        settings = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": 0, "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": -1}
        transform(points, JAX_COMPILATION_CACHE_DIR=theirs, XDG_CACHE_HOME=ours, **settings)
        assert len(list(theirs.iterdir())) > 1
        assert not ours.exists()

    def test_a_folder_that_cannot_be_used_is_said_once(self, points: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        ended = transform(points, BRENIER_CACHE_DIR=tmp_path / "file")
        (line,) = ended.said
        assert line.startswith(f"warning: `{tmp_path / 'file'}` cannot hold compiled programs: ")
        assert "`BRENIER_CACHE_DIR`" in line
        assert ended.hits == 0

    def test_damaged_programs_are_compiled_anew_and_said_once(self, points: Path, tmp_path: Path) -> None:
        transform(points, BRENIER_CACHE_DIR=tmp_path / "cache")
        programs = kept_programs(tmp_path / "cache")
        for program in programs:
            program.path.write_bytes(program.path.read_bytes()[:-20])
        ended = transform(points, BRENIER_CACHE_DIR=tmp_path / "cache")
        (line,) = ended.said
        assert line.startswith("warning: a compiled program could not be read or kept (")
        assert "brenier cache clear" in line
        assert (ended.hits, ended.misses) == (0, len(programs))


class TestInfoAndClear:
    def test_what_is_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BRENIER_CACHE_DIR", str(tmp_path))
        assert (as_json("cache", "info")["programs"], as_json("cache", "info")["bytes"]) == (0, 0)
        entry(tmp_path, "a", 2_000_000, 1000.0)
        entry(tmp_path, "b", 500_000, 2000.0)
        record = as_json("cache", "info")
        assert (record["folder"], record["programs"], record["bytes"]) == (str(tmp_path), 2, 2_500_000)
        assert record["max_bytes"] == 1 << 28
        text = run("cache", "info").stdout
        assert "2   2.5 MB; at most 268 MB are kept" in text
        assert "Oldest" in text

    def test_clear_removes_programs_and_nothing_else(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BRENIER_CACHE_DIR", str(tmp_path))
        ours = entry(tmp_path, "a", 7, 1000.0)
        others = [ours.with_name("notes.txt"), ours.with_name("jit_a-0123-cache"), tmp_path / f"jit_a-{KEY}-cache"]
        for path in others:
            path.write_text("mine")
        record = as_json("cache", "clear")
        assert (record["removed"], record["bytes"]) == (1, 7)
        assert not ours.exists()
        assert [path.read_text() for path in others] == ["mine"] * 3

    def test_a_folder_of_jax_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("BRENIER_CACHE_DIR", raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/elsewhere")
        assert as_json("cache", "info")["jax_folder"] == "/elsewhere"
        assert "keep programs in /elsewhere" in run("cache", "info").stdout


class TestTheFolder:
    def test_it_is_private(self, tmp_path: Path) -> None:
        folder = claim_cache(tmp_path / "a" / "cache", 10)
        for place in (folder, folder.parent, folder.parent.parent):
            assert stat.S_IMODE(place.stat().st_mode) == 0o700

    @pytest.mark.parametrize(("up", "mode"), [(0, 0o770), (0, 0o1777), (1, 0o702), (2, 0o777)])
    def test_it_is_refused_where_others_may_write(self, up: int, mode: int, tmp_path: Path) -> None:
        place = [folder := claim_cache(tmp_path / "cache", 10), folder.parent, folder.parent.parent][up]
        place.chmod(mode)
        with pytest.raises(InputError, match=f"Others may write to `{place}`.*chmod go-w"):
            claim_cache(tmp_path / "cache", 10)

    def test_it_may_lie_where_everybody_has_files_of_their_own(self, tmp_path: Path) -> None:
        (tmp_path / "cache").mkdir()
        (tmp_path / "cache").chmod(0o1777)
        assert claim_cache(tmp_path / "cache", 10).is_dir()

    @pytest.mark.parametrize("up", [0, 1, 2])
    def test_it_is_refused_where_it_belongs_to_somebody_else(self, up: int, tmp_path: Path) -> None:
        if os.getuid() != 0:
            pytest.skip("needs the rights to give files away")
        place = [folder := claim_cache(tmp_path / "cache", 10), folder.parent, folder.parent.parent][up]
        os.chown(place, 12345, -1)
        with pytest.raises(InputError, match=f"`{place}` belongs to another user"):
            claim_cache(tmp_path / "cache", 10)

    def test_those_not_used_for_longest_go_first(self, tmp_path: Path) -> None:
        old, new, newest = (entry(tmp_path, name, 100, used) for name, used in (("z", 1e9), ("a", 2e9), ("m", 3e9)))
        (old.parent / "notes.txt").write_bytes(bytes(1000))
        claim_cache(tmp_path, 300)
        assert old.exists()
        claim_cache(tmp_path, 299)
        assert (old.exists(), new.exists(), newest.exists()) == (False, True, True)
        claim_cache(tmp_path, 99)
        assert kept_programs(tmp_path) == []
        assert (old.parent / "notes.txt").exists()


class TestPython:
    CODE = """
import sys, jax, jax.numpy as jnp
jax.jit(lambda x: x + 1.0)(jnp.ones(3))  # before, and so kept nowhere
import brenier
from brenier._cache import kept_programs
from pathlib import Path
folder = brenier.enable_cache(*sys.argv[1:])
jax.jit(lambda x: 3.0 * x)(jnp.ones(3))
print(folder, sum("lambda" in path.name for path in folder.iterdir()))
"""

    def call(self, *args: object, **changes: object) -> tuple[Path, int]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "BRENIER_"))}
        kept |= {"JAX_PLATFORMS": "cpu"} | {name: str(value) for name, value in changes.items()}
        folder, count = subprocess.check_output(
            [sys.executable, "-c", self.CODE, *map(str, args)], env=kept, text=True
        ).split()
        return Path(folder), int(count)

    def test_programs_are_kept_from_then_on(self, tmp_path: Path) -> None:
        folder, count = self.call(tmp_path)
        assert folder.parent == tmp_path / "programs"
        assert count == 1
        assert len(kept_programs(tmp_path)) >= 1

    def test_the_users_folder_is_the_default(self, tmp_path: Path) -> None:
        folder, count = self.call(XDG_CACHE_HOME=tmp_path)
        assert folder.parents[1] == tmp_path / "brenier"
        assert count == 1

    def test_a_folder_of_jax_stays(self, tmp_path: Path) -> None:
        settings = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": 0, "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": -1}
        folder, count = self.call(JAX_COMPILATION_CACHE_DIR=tmp_path / "theirs", **settings)
        assert (folder, count) == (tmp_path / "theirs", 2)

    def test_it_is_bounded_when_the_process_ends(self, tmp_path: Path) -> None:
        code = "import sys; from brenier import enable_cache as keep\n"
        code += "(keep(sys.argv[1], max_bytes=5) / sys.argv[2]).write_bytes(bytes(6))"
        subprocess.check_call([sys.executable, "-c", code, tmp_path, f"jit_a-{KEY}-cache"])
        assert kept_programs(tmp_path) == []
        assert len(list((tmp_path / "programs").iterdir())) == 1

    def test_what_cannot_be_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="`max_bytes` must be above zero; got 0"):
            enable_cache(tmp_path, max_bytes=0)
        (tmp_path / "file").write_text("")
        with pytest.raises(InputError, match=f"`{tmp_path}/file` cannot hold compiled programs: File exists"):
            enable_cache(tmp_path / "file")
