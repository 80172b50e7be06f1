"""Kill `brenier fit --checkpoint` at random moments, run it again, and count the maps that are the same.

    python benchmarks/kills.py [--kills 50] [--steps 1024] [--seed 0] [--json]

Each trial has a folder of its own: the command is killed (SIGKILL) once, at a moment drawn uniformly from the time that
an uninterrupted run takes, then run again to its end. Checkpoints are written after every chunk of 128 steps, more
often than is usual, so that many moments lie within the writing of one. Compiled programs are kept between the runs,
in a folder of their own, so that most of the time is training.
"""

import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

CODE = """
import brenier.checkpoint.keeping
from brenier.cli import main
brenier.checkpoint.keeping.COST = float("inf")
main()
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--steps", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def where(record: dict) -> str:
    """Where the second run went on."""
    at = record["resumed_from"]
    if at is None:
        return "from the start: no checkpoint was there yet"
    if at["finished"]:
        return "after the end of the fit"
    return "in the second fit" if at["refit"] else "in the first fit"


def content(path: Path) -> tuple[dict, bytes]:
    """Header and tensors of a map file: the library that writes it puts the entries of the header in any order."""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:end]), data[end:]


def main() -> None:
    asked = arguments()
    rng = np.random.default_rng(asked.seed)
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        for name, values in (("x", rng.normal(size=(600, 2))), ("y", np.exp(0.9 * rng.normal(size=(600, 2))))):
            np.savetxt(root / f"{name}.csv", values, delimiter=",", header="a,b", comments="")
        environment = {"JAX_COMPILATION_CACHE_DIR": str(root / "compiled")} | os.environ
        environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

        def start(folder: Path) -> subprocess.Popen:
            command = ["fit", root / "x.csv", root / "y.csv", "-o", folder / "map", "--checkpoint", folder / "work"]
            command += ["--max-steps", asked.steps, "--json"]
            return subprocess.Popen(
                [sys.executable, "-c", CODE, *map(str, command)],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )

        def whole(folder: Path) -> tuple[dict, tuple]:
            with start(folder) as process:
                out, err = process.communicate()
            if process.returncode:
                sys.exit(f"the command failed with code {process.returncode}:\n{err}")
            return json.loads(out), content(folder / "map")

        for name in ("first", "whole"):  # the first compiles
            (root / name).mkdir()
            began = time.perf_counter()
            _, expected = whole(root / name)
            seconds = time.perf_counter() - began
        same, places, within = 0, collections.Counter(), 0
        for trial in range(asked.kills):
            folder = root / f"trial{trial}"
            folder.mkdir()
            with start(folder) as process:
                try:
                    process.communicate(timeout=float(rng.uniform(0.0, seconds)))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.communicate()
            within += bool(list((folder / "work").glob("*tmp*")))
            record, found = whole(folder)
            same += found == expected
            places[where(record)] += 1
            if not asked.json:
                print(f"{trial + 1:3}  {where(record)}  {'same' if found == expected else 'DIFFERENT'}", flush=True)
    if asked.json:
        print(json.dumps({"kills": asked.kills, "same": same, "places": places, "within_a_save": within}))
    else:
        print(f"{same} of {asked.kills} maps are the same, byte for byte")
        print(f"{within:3} kills fell into the writing of a checkpoint")
        for text, count in places.most_common():
            print(f"{count:3} went on {text}")


if __name__ == "__main__":
    main()
