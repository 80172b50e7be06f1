"""The example that logs a fit to TensorBoard: its event file, read back."""

import importlib.util
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from asserts import assert_close
from brenier import BrenierMap

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "tensorboard_callback.py"


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> tuple[list, Any]:
    """What the example has written, and the fit that it watched."""
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    spec = importlib.util.spec_from_file_location("tensorboard_callback", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    fits: list = []

    class Recorded(BrenierMap):
        def fit(self, *samples: Any) -> "Recorded":
            fits.append(super().fit(*samples))
            return self

    example.BrenierMap = Recorded
    folder = tmp_path_factory.mktemp("events") / "runs"
    done = CliRunner().invoke(example.app, ["--output", str(folder), "--max-steps", "256"])
    assert done.exit_code == 0, done.output
    assert str(folder) in done.stdout
    assert "gap" in done.stderr
    (path,) = folder.iterdir()
    data, found = path.read_bytes(), []
    while data:  # a record: its length in 8 bytes, 4 of checksum, itself, 4 of checksum
        (length,) = struct.unpack("<Q", data[:8])
        found.append(Event.FromString(data[12 : 12 + length]))
        data = data[16 + length :]
    return found, fits[0]


def test_the_curves_are_those_of_the_history(events: tuple[list, Any]) -> None:
    found, fitted = events
    values = [(event.step, value) for event in found for value in event.summary.value]
    for name in ("dual", "gain", "gap", "unconverged", "rate"):
        curve = [(step, value.simple_value) for step, value in values if value.tag == f"fit/{name}"]
        assert [step for step, _ in curve] == [row.step for row in fitted.history_]
        assert_close([value for _, value in curve], [getattr(row, name) for row in fitted.history_], rtol=1e-6)
    assert any(value.tag == "refit/dual" for _, value in values)


def test_settings_and_end_are_there(events: tuple[list, Any]) -> None:
    found, fitted = events
    texts = {
        value.tag: value.tensor.string_val[0].decode()
        for event in found
        for value in event.summary.value
        if value.tensor.string_val
    }
    assert json.loads(texts["settings/text_summary"]) == json.loads(json.dumps(fitted.map_.info["settings"]))
    assert texts["stop/text_summary"] == fitted.stop_
