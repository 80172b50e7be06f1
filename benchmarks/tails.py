"""Heavy tails: the middle of a map to heavy-tailed samples, with and without `trim`.

From a normal sample to one whose columns are increasing functions of normal ones, so that the map is known: these
functions. The error is L2-UVP over the points whose normal scores all are within the middle 90 %.

    python benchmarks/tails.py [--rows 3000] [--steps 1024] [--seed 0]
"""

import argparse
import warnings

import numpy as np
from scipy import stats

from brenier import BrenierMap, DataWarning
from brenier.metrics import unexplained_variance

MIDDLE = stats.norm.ppf(0.95)
TAILS = {
    "Cauchy": lambda z: stats.cauchy.ppf(stats.norm.cdf(z)),
    "log-normal, sigma 2": lambda z: np.exp(2.0 * z),
    "Student's t, two degrees": lambda z: stats.t.ppf(stats.norm.cdf(z), 2),
}
SHARES = (0.0, 0.01, 0.05)


def main() -> None:
    """Measure every tail and share, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--steps", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore", DataWarning)
    rng = np.random.default_rng(options.seed)
    new = rng.standard_normal((4000, 2))
    new = new[np.all(np.abs(new) < MIDDLE, axis=1)]
    print(
        "| target | "
        + " | ".join(f"trim {share}" for share in SHARES)
        + " | affine, trim 0.05 |\n|---|---|---|---|---|"
    )
    for name, tail in TAILS.items():
        x, y = rng.standard_normal((options.rows, 2)), tail(rng.standard_normal((options.rows, 2)))
        texts = []
        for share in SHARES:
            ot = BrenierMap(max_steps=options.steps, trim=share, random_state=options.seed).fit(x, y)
            texts.append(f"{unexplained_variance(ot.transform(new), tail(new)):.3g} %")
        c = ot.map_.geometry
        texts.append(f"{unexplained_variance(c.leave_y(c.enter_x(new)), tail(new)):.3g} %")
        print(f"| {name} | " + " | ".join(texts) + " |", flush=True)


if __name__ == "__main__":
    main()
