"""Install the wheels, and then the sdists, as a user would, and use them: `python tests/smoke.py dist`."""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

USE = """
import numpy as np
import brenier
assert {folder!r} in brenier.__file__, brenier.__file__
rng = np.random.default_rng(0)
np.save("x.npy", rng.normal(size=(500, 2)))
np.save("y.npy", rng.normal(size=(500, 2)) * 2.0 + 1.0)
"""

CHECK = """
import numpy as np
x, y, back = (np.load(name) for name in ("x.npy", "moved.npy", "back.npy"))
assert np.abs(y - (2.0 * x + 1.0)).mean() < 0.5, "the map is far from the exact one"
assert np.abs(back - x).max() < 1e-3, "the way back does not lead back"
"""

COMMANDS = [
    ["--help"],
    ["--version"],
    ["fit", "x.npy", "y.npy", "-o", "m.brenier", "--max-steps", "64", "--json"],
    ["inspect", "m.brenier", "--json"],
    ["transform", "m.brenier", "x.npy", "-o", "moved.npy", "--json"],
    ["transform", "m.brenier", "moved.npy", "-o", "back.npy", "--inverse", "--json"],
]

BENCH = ["bench", "gaussian", "--dim", "2", "--seconds", "100000", "--max-steps", "64", "--json"]


def main(folder: Path) -> None:
    """Try both archives of a kind in a folder, in an environment of its own."""
    for ending in (".whl", ".tar.gz"):
        archives = sorted(folder.glob(f"*{ending}"))
        if [path.name.split("-")[0] for path in archives] != ["brenier", "brenier_bench"]:
            raise SystemExit(
                f"{folder} must hold one {ending} of brenier and one of brenier-bench; "
                f"it holds {[path.name for path in archives]}."
            )
        with tempfile.TemporaryDirectory() as place:
            _try(*(path.resolve() for path in archives), Path(place))
        sys.stdout.write(f"{' and '.join(path.name for path in archives)} work\n")


def _try(archive: Path, bench: Path, place: Path) -> None:
    environment = place / "environment"
    venv.create(environment, with_pip=True)
    python = str(environment / "bin" / "python")

    def run(*command: str) -> None:
        # Without the variables of this environment: nothing of a checkout may be found.
        kept = {"PATH": "/usr/bin:/bin", "HOME": str(place), "JAX_PLATFORMS": "cpu"}
        subprocess.run(command, check=True, cwd=place, env=kept, stdout=subprocess.DEVNULL)

    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, str(archive)], check=True)
    run(python, "-c", USE.format(folder=str(environment)))
    program = str(environment / "bin" / "brenier")
    for command in COMMANDS:
        run(program, *command)
    run(python, "-c", CHECK)
    try:
        run(program, *BENCH)
    except subprocess.CalledProcessError:
        subprocess.run([*install, str(bench)], check=True)
        run(program, *BENCH)
    else:
        raise SystemExit("`brenier bench` runs without brenier-bench.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
