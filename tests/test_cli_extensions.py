"""Commands that other distributions add to `brenier`: found from outside, told apart where they are broken."""

import json
import subprocess
import sys
from importlib.metadata import EntryPoints
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from brenier.cli import app, extensions

MODULE = """
import typer

several = typer.Typer(add_completion=False, help="Say things.")
single = typer.Typer(add_completion=False)


@several.command()
def hello(name: str, count: int = 1) -> None:
    typer.echo(" ".join([f"hello {name}"] * count))


@several.command()
def bye() -> None:
    typer.echo("bye")


@single.command()
def once(name: str) -> None:
    typer.echo(f"once, {name}")


no_app = 3
"""
POINTS = """
[brenier.commands]
say = commands_of_another:several
once = commands_of_another:single
fit = commands_of_another:single
number = commands_of_another:no_app
gone = commands_of_another.nowhere:app
"""


@pytest.fixture
def another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution as pip installs it: a module, and metadata beside it."""
    (tmp_path / "commands_of_another.py").write_text(MODULE)
    metadata = tmp_path / "another-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: another\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(tmp_path)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


@pytest.mark.usefixtures("another")
class TestAnotherDistribution:
    def test_commands_with_commands(self) -> None:
        assert invoke("say", "hello", "you", "--count", "2").stdout == "hello you hello you\n"
        assert "Say things." in invoke("say", "--help").stdout

    def test_a_single_command(self) -> None:
        assert invoke("once", "more").stdout == "once, more\n"

    def test_usage_errors_are_json_as_ours_are(self) -> None:
        result = invoke("say", "hello", "--json")
        assert result.exit_code == 2
        assert json.loads(result.stdout).keys() == {"error"}

    def test_help_lists_them_even_where_some_are_broken(self) -> None:
        result = invoke("--help")
        assert result.exit_code == 0
        for words in ("say", "once", "number", "gone", "Say things."):
            assert words in result.stdout

    def test_our_own_commands_cannot_be_replaced(self) -> None:
        assert "Learn the optimal-transport map" in invoke("fit", "--help").stdout

    @pytest.mark.parametrize(
        ("name", "reason"),
        [("gone", "cannot be imported (ModuleNotFoundError: No module named"), ("number", "is no `typer.Typer`")],
    )
    def test_a_broken_one_says_so(self, name: str, reason: str) -> None:
        for options in (["--help"], ["any", "--thing", "1"], []):
            result = invoke(name, *options)
            assert result.exit_code == 2
            assert result.stdout == ""
            assert f"`brenier {name}` is `commands_of_another" in result.stderr
        result = invoke(name, "any", "--json")
        assert result.exit_code == 2
        assert reason in json.loads(result.stdout)["error"]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["w2", "--pair", "16.npz", "--seconds", "60"]])
def test_without_its_distribution_bench_says_what_to_install(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extensions, "entry_points", lambda **_: EntryPoints())
    result = invoke("bench", *arguments, "--json")
    assert result.exit_code == 2
    assert "`pip install ./bench` in a checkout" in json.loads(result.stdout)["error"]
    result = invoke("bench", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "brenier-bench, which is not installed" in " ".join(result.stderr.split())
    assert "bench" not in invoke("--help").stdout


def test_what_is_no_command_is_no_extension_either() -> None:
    result = invoke("teleport", "--json")
    assert result.exit_code == 2
    assert "No such command 'teleport'" in json.loads(result.stdout)["error"]


def test_our_own_commands_do_not_look_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extensions, "entry_points", lambda **_: pytest.fail("looked for commands of others"))
    assert invoke("inspect", "--help").exit_code == 0


def test_listing_the_commands_loads_nothing_heavy() -> None:
    code = "import sys; from typer.testing import CliRunner; from brenier.cli import app; run = CliRunner().invoke\n"
    code += "assert 'gaussian' in run(app, ['bench', '--help']).stdout and 'bench' in run(app, ['--help']).stdout\n"
    code += "print([name for name in ('jax', 'numpy', 'sklearn', 'matplotlib') if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
