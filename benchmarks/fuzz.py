"""Coverage-guided fuzzing of every reader of files: `python benchmarks/fuzz.py --time 60`; `make fuzz` runs it.

Each reader runs in a process of its own, under a limit on memory, so that a crash of a library is a finding and not the
end. Atheris (libFuzzer for Python) keeps inputs that reach new lines of brenier, and mutates these; half of the
mutations are those of `tests/fuzz/mutate.py`, which make checksums right again. Findings are written to `--out`, one
file each, and printed; the exit status is 1 if there are any.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

TESTS = Path(__file__).resolve().parents[1] / "tests"
MEMORY = 16 << 30
"""Bytes of address space of one process, of which JAX alone reserves several gigabytes."""

LARGEST = 1 << 26
"""Stands for `brenier.data.memory.MOST_BYTES` while fuzzing, so that the bound is met at a size that machines spare."""

RESIDENT = 3072
"""Mebibytes in memory at which libFuzzer calls an input a finding: imports take 400, the rest is room."""

SECONDS = 30
"""Seconds that one input may take."""


def main() -> int:
    """Run what the command line asks for; 1 if there are findings."""
    sys.path.insert(0, str(TESTS))
    from fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--time", type=float, default=30.0, help="seconds a reader")
    parser.add_argument("--only", nargs="+", choices=list(TARGETS), default=list(TARGETS), help="readers")
    parser.add_argument("--out", type=Path, default=Path("fuzz-findings"), help="folder of findings")
    parser.add_argument("--seed", type=int, default=1, help="of the mutations")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return child(options.child, options.time, options.out, options.seed)
    rows = [_supervised(name, options) for name in options.only]
    print("| reader | inputs | taken | findings |\n|---|---|---|---|")
    for name, row in zip(options.only, rows, strict=True):
        print(f"| {name} | {row['inputs']:,} | {row['taken']:,} | {row['findings']} |")
    print(
        f"| all | {sum(own['inputs'] for own in rows):,} | {sum(own['taken'] for own in rows):,} | "
        f"{sum(own['findings'] for own in rows)} |"
    )
    return int(any(own["findings"] for own in rows))


def _supervised(name: str, options: argparse.Namespace) -> dict[str, int]:
    """Fuzz one reader, again after each crash, until its time is over."""
    folder = options.out / name
    folder.mkdir(parents=True, exist_ok=True)
    total = {"inputs": 0, "taken": 0, "findings": 0}
    end, seed = time.monotonic() + options.time, options.seed
    while (left := end - time.monotonic()) > 1:
        counts = folder / "counts.json"
        counts.unlink(missing_ok=True)
        command = [sys.executable, __file__, "--child", name, "--time", str(left), "--out", str(folder)]
        ran = subprocess.run([*command, "--seed", str(seed)], capture_output=True, text=True, errors="replace")
        found = json.loads(counts.read_text()) if counts.exists() else {}
        for key in total:
            total[key] += found.get(key, 0)
        if ran.returncode != 0:
            total["findings"] += 1
            (folder / f"crash-{seed}.log").write_text(ran.stdout + ran.stderr)
            print(f"{name}: the process ended with {ran.returncode}\n{ran.stderr[-2000:]}", flush=True)
        for own in found.get("texts", []):
            print(own, flush=True)
        seed += 1
    return total


def child(name: str, seconds: float, folder: Path, seed: int) -> int:
    """Fuzz one reader in this process until its time is over or the process dies."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    sys.path.insert(0, str(TESTS))
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import atheris

    with atheris.instrument_imports(include=["brenier"]):
        from brenier.data import memory
        from brenier.files import images, points  # noqa: F401
        from brenier.maps import mapfile  # noqa: F401 - imported here, its branches are counted
        from brenier_bench.datasets import tabular  # noqa: F401
        from fuzz.targets import TARGETS, Finding, attempt
    from fuzz.corpus import corpus
    from fuzz.mutate import mutate

    assert name in TARGETS
    memory.MOST_BYTES = LARGEST
    counts: dict[str, Any] = {"inputs": 0, "taken": 0, "findings": 0, "texts": []}
    seen: set[tuple[str, str]] = set()
    last = [time.monotonic()]

    def save() -> None:
        (folder / "counts.json").write_text(json.dumps(counts))

    def one(data: bytes) -> None:
        counts["inputs"] += 1
        try:
            counts["taken"] += attempt(name, data)
        except Finding as error:
            mark = (type(error.__cause__).__name__, _line(error))
            if mark not in seen:  # the same line again is no other finding
                seen.add(mark)
                counts["findings"] += 1
                counts["texts"].append(f"{error}\n    at {mark[1]}"[:1000])
                (folder / f"finding-{seed}-{len(seen)}").write_bytes(data)
        if time.monotonic() > last[0] + 0.5:
            last[0] = time.monotonic()
            save()

    def custom(data: bytes, most: int, number: int) -> bytes:
        rng = Random(number)
        if rng.random() < 0.5:
            return atheris.Mutate(data, most)
        if rng.random() < 0.3:
            data = rng.choice(corpus(name))
        return mutate(name, data, rng)[:most]

    start = folder / "corpus"
    start.mkdir(exist_ok=True)
    for number, content in enumerate(corpus(name)):
        (start / f"valid-{number}").write_bytes(content)
    for content in corpus(name):  # imports what is imported late, outside of what is timed
        attempt(name, content)
    limits = [f"-max_total_time={max(int(seconds), 1)}", f"-timeout={SECONDS}", f"-rss_limit_mb={RESIDENT}"]
    places = [f"-artifact_prefix={folder}/", f"-seed={seed}", "-max_len=100000", "-verbosity=0", str(start)]
    atheris.Setup([sys.argv[0], *limits, *places], one, custom_mutator=custom)
    import atexit

    atexit.register(save)
    try:
        atheris.Fuzz()
    finally:
        save()
    return 0


def _line(error: BaseException) -> str:
    """The last line of brenier in a chain of calls."""
    own, trace = "", (error.__cause__ or error).__traceback__
    while trace is not None:
        path = trace.tb_frame.f_code.co_filename
        if "brenier" in Path(path).parts[-4:]:
            own = f"{Path(path).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return own


if __name__ == "__main__":
    sys.exit(main())
