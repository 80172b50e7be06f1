"""Compiled programs, kept on disk for the next process: JAX's own cache, in a folder that is safe to load code from.

JAX can bound its cache itself, but then looks at every entry under a lock whenever it adds one. Here the oldest are
removed when a process starts and when it ends, which takes no lock: an entry that is gone is compiled anew.
"""

import atexit
import hashlib
import os
import platform
import re
import stat
from pathlib import Path
from typing import NamedTuple

from brenier._errors import InputError

__all__ = ["MOST_BYTES", "Program", "cache_root", "claim_cache", "enable_cache", "jax_settings", "kept_programs"]

MOST_BYTES = 1 << 28

_PROGRAM = re.compile(r".+-[0-9a-f]{64}-cache")
"""How JAX names its entries."""


class Program(NamedTuple):
    """A compiled program on disk: its last use in seconds since 1970, as exactly as the disk notes it."""

    used: float
    bytes: int
    path: Path


def enable_cache(path: str | os.PathLike[str] | None = None, *, max_bytes: int = MOST_BYTES) -> Path:
    """Keep compiled programs on disk, so that other processes need not compile them again.

    The command line does so by itself. In Python the process is yours, and so is the choice: this holds for every
    program that JAX compiles in it from now on, those of other libraries included.

    Args:
        path: Folder of the cache, made if missing. By default the folder of the environment variable
            `BRENIER_CACHE_DIR`; where that is not set, the one that JAX uses already, as it is; otherwise the user's
            folder for caches.
        max_bytes: Size on disk; the least recently used programs are removed, now and when the process ends.

    Returns:
        The folder with the programs.

    Raises:
        InputError: The folder cannot be made or written, belongs to another user, or others may write to it:
            whoever can write compiled programs can have this process run anything.

    Note: Several processes may use one folder at once. Programs of other processors are kept apart.
    """
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    if max_bytes <= 0:
        raise InputError(f"`max_bytes` must be above zero; got {max_bytes}. To keep nothing, do not enable the cache.")
    present = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    if path is None and present and not os.environ.get("BRENIER_CACHE_DIR"):
        return Path(present)
    folder = claim_cache(cache_root() if path is None else Path(path), max_bytes)
    for name, value in jax_settings(folder).items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    return folder


def cache_root() -> Path:
    """The folder of the cache by default: `BRENIER_CACHE_DIR`, or else one in the user's folder for caches."""
    from platformdirs import user_cache_path

    return Path(os.environ.get("BRENIER_CACHE_DIR") or user_cache_path("brenier"))


def claim_cache(root: Path, max_bytes: int) -> Path:
    """Make the folder of this machine's programs, check who may write there, and bound it, also when the process ends.

    Raises:
        InputError: The folder cannot be made or written, or is not safe to load code from; see `enable_cache`.
    """
    shelf = root / "programs"
    folder = shelf / _machine()
    try:
        for place in (root, shelf, folder):
            place.mkdir(mode=0o700, parents=place == root, exist_ok=True)
            _check_owner(place, shared=place == root)
    except OSError as error:
        raise InputError(f"`{root}` cannot hold compiled programs: {error.strerror or error}. {_OTHER}") from error
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise InputError(f"`{folder}` cannot be written, and so cannot hold compiled programs. {_OTHER}")
    _bound(root, max_bytes)
    atexit.register(_bound, root, max_bytes)
    return folder


def jax_settings(folder: Path) -> dict[str, str | int]:
    """The settings of JAX, by name: it keeps every program, and leaves the bound on their size to us."""
    return {
        "jax_compilation_cache_dir": str(folder),
        "jax_compilation_cache_max_size": -1,
        "jax_persistent_cache_min_compile_time_secs": 0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
        "jax_persistent_cache_enable_xla_caches": "none",
    }


def kept_programs(root: Path) -> list[Program]:
    """The programs that were kept, for any kind of machine, the least recently used first."""
    programs = []
    for path in root.glob("programs/*/*"):
        if not _PROGRAM.fullmatch(path.name):
            continue
        try:
            status = path.lstat()
        except FileNotFoundError:  # another process removed it
            continue
        # Not every disk notes when a file was read.
        programs.append(Program(max(status.st_atime, status.st_mtime), status.st_size, path))
    return sorted(programs)


_OTHER = "Name another folder, for instance in the environment variable `BRENIER_CACHE_DIR`."


def _check_owner(folder: Path, *, shared: bool) -> None:
    """Refuse a folder where others can put code; one that only holds ours may belong to the system, as /tmp does."""
    if not hasattr(os, "getuid"):
        return
    status = folder.stat()
    if status.st_uid != os.getuid() and not (shared and status.st_uid == 0):
        raise InputError(f"`{folder}` belongs to another user, who could have compiled programs run anything. {_OTHER}")
    writable = status.st_mode & (stat.S_IWOTH if shared else stat.S_IWOTH | stat.S_IWGRP)
    if writable and not (shared and status.st_mode & stat.S_ISVTX):
        raise InputError(
            f"Others may write to `{folder}`, and could have compiled programs run anything. Forbid it with "
            f"`chmod go-w {folder}`, or name another folder."
        )


def _bound(root: Path, max_bytes: int) -> None:
    """Remove the least recently used programs until the others are no larger than they may be."""
    programs = kept_programs(root)
    total = sum(program.bytes for program in programs)
    for program in programs:
        if total <= max_bytes:
            return
        program.path.unlink(missing_ok=True)
        total -= program.bytes


def _machine() -> str:
    """A name for this kind of processor: programs of another one may use instructions that it lacks."""
    lines = [platform.system(), platform.machine(), platform.processor()]
    described = Path("/proc/cpuinfo")
    if described.exists():
        wanted = ("model name", "flags", "Features", "CPU part")
        lines += sorted({line for line in described.read_text().splitlines() if line.startswith(wanted)})
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
