"""Commands run in this process, for the tests that expect them to succeed."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from brenier.cli import app


def run(*args: object) -> Result:
    """A command that is expected to succeed."""
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == 0, result.output
    return result


def as_json(*args: object) -> dict[str, Any]:
    """The one line that a command prints on stdout with `--json`."""
    lines = run(*args, "--json").stdout.splitlines()
    assert len(lines) == 1
    return json.loads(lines[0], parse_constant=pytest.fail)
