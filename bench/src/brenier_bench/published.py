"""What OT-Flow and FFJORD publish for the five tables, as far as it could be read in public text.

A number is here only where its source was read; the others are `None`, not remembered.
"""

from typing import NamedTuple

__all__ = ["PUBLISHED", "Published"]


class Published(NamedTuple):
    """Results of one method on one table.

    Attributes:
        method: "OT-Flow" or "FFJORD".
        nll: Mean negative log-likelihood of the test part in nats, the loss "C" of OT-Flow; lower is better.
        mmd: Maximum mean discrepancy between generated points and the test part.
        parameters: Number of trained parameters.
    """

    method: str
    nll: float | None
    mmd: float | None
    parameters: int | None


def _otflow_parameters(dim: int, width: int, layers: int = 2, rank: int = 10) -> int:
    """Parameters of OT-Flow's potential: a residual network, a quadratic form of low rank, an affine function.

    References: EmoryMLIP/OT-Flow, src/Phi.py: classes `ResNN` and `Phi`.
    """
    inputs = dim + 1  # space and time
    network = (inputs + 1) * width + (layers - 1) * (width + 1) * width
    return min(rank, inputs) * inputs + (inputs + 1) + width + network


# The widths `--m` and two layers are the hyperparameters in EmoryMLIP/OT-Flow, README.md and detailedSetup.md; numbers
# of parameters follow from them. The table of results (Onken, Wu Fung, Li and Ruthotto 2021, "OT-Flow: Fast and
# accurate continuous normalizing flows via optimal transport", AAAI) could not be read in full text, and the repository
# does not repeat it: losses, discrepancies, and all of FFJORD's are to be filled in from the paper.
_WIDTHS = {"POWER": (6, 128), "GAS": (8, 350), "HEPMASS": (21, 256), "MINIBOONE": (43, 256), "BSDS300": (63, 512)}

PUBLISHED: dict[str, tuple[Published, ...]] = {
    name: (
        Published("OT-Flow", None, None, _otflow_parameters(dim, width)),
        Published("FFJORD", None, None, None),
    )
    for name, (dim, width) in _WIDTHS.items()
}
"""Results by the name of the table, `TabularSet.name`."""
