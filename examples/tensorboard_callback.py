"""A fit in TensorBoard: one curve for each number of the history, through a callback.

pip install tensorboardX
python examples/tensorboard_callback.py --output runs
tensorboard --logdir runs
"""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from tensorboardX import SummaryWriter

from brenier import BrenierMap
from brenier.callbacks import Callback, End, Progress, Start
from brenier.cli.console import number, print_result, reporting
from brenier.training import HistoryRow

__all__ = ["TensorBoard", "app"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class TensorBoard(Callback):
    """Writes the rows of a fit as curves, its settings and its end as text.

    `torch.utils.tensorboard.SummaryWriter` has the same methods. For Weights & Biases, `wandb.init` with the settings
    goes where the writer is made, `wandb.log` where scalars are added, and `run.finish` where the writer is closed.

    Args:
        folder: Where the event file goes.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = str(folder)

    def on_start(self, start: Start) -> None:
        self.writer = SummaryWriter(self.folder)
        self.writer.add_text("settings", json.dumps(start.settings))

    def on_validation(self, row: HistoryRow) -> None:
        phase = "refit" if row.refit else "fit"  # whose steps start at zero again
        for name, value in row._asdict().items():
            if name not in ("step", "refit"):
                self.writer.add_scalar(f"{phase}/{name}", float(value), row.step)

    def on_end(self, end: End) -> None:
        self.writer.add_text("stop", end.stop)
        self.writer.close()


@app.command()
def main(
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the event file; made if missing.")] = Path(
        "runs"
    ),
    max_steps: Annotated[int, typer.Option(metavar="N", min=1, help="Training steps.")] = 1024,
) -> None:
    """Learn the map from a normal to a log-normal distribution, with TensorBoard watching."""
    with reporting(as_json=False):
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(2000, 2)), np.exp(rng.normal(size=(2000, 2)))
        ot = BrenierMap(max_steps=max_steps, callbacks=[Progress(), TensorBoard(output)], random_state=0).fit(x, y)
        dual = max(row.dual for row in ot.history_)
        print_result({}, [("Dual", number(dual)), ("Stop", ot.stop_), ("Wrote", str(output))], as_json=False)


if __name__ == "__main__":
    app()
