"""Help for every command, fast."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from stage1_cli.app import app

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "prefect", "mlflow", "pandas", "numpy", "timm", "transformers", "matplotlib"}


def commands(group, *words: str) -> Iterator[tuple[tuple[str, ...], object]]:
    for name, command in group.commands.items():
        yield (*words, name), command
        if hasattr(command, "commands"):
            yield from commands(command, *words, name)


COMMANDS = dict(commands(typer.main.get_command(app)))
each_command = pytest.mark.parametrize("words", COMMANDS, ids=" ".join)


def test_these_are_the_commands():
    assert {" ".join(words) for words in COMMANDS} >= {
        "demo", "run", "data", "data audit", "data split", "data import", "features", "train", "predict", "verify",
        "export", "doctor", "pages", "stack", "deploy", "registry", "promote", "rollback", "repair", "sweep", "metrics",
        "evaluate", "fit-policy", "decide",
    }  # fmt: skip


@each_command
def test_a_command_says_what_it_does_and_what_every_option_means(words):
    command = COMMANDS[words]
    assert command.help
    named = [parameter for parameter in command.params if parameter.name != "help"]
    assert all(parameter.help for parameter in named)


@each_command
def test_help_shows_every_option_with_its_default(stage1, words):
    code, out, _ = stage1(*words, "--help")
    assert code == 0
    shown = "".join(out.split())  # long words are broken at hyphens
    for parameter in COMMANDS[words].params:
        if parameter.param_type_name == "option" and parameter.name != "help":
            assert parameter.opts[0] in shown
            if isinstance(parameter.default, int | float | str) and not parameter.is_flag:
                assert f"default:{parameter.default}".replace(" ", "") in shown, parameter.name


def test_an_unknown_command_is_a_usage_error(stage1):
    code, _, err = stage1("certify")
    assert code == 2
    assert "certify" in err


def test_the_version_is_printed(stage1):
    from stage1_core import __version__

    assert stage1("--version") == (0, f"stage1 {__version__}\n", "")


@pytest.mark.parametrize(
    "words",
    [["--help"], ["run", "--help"], ["data", "audit", "--help"], ["fit-policy", "--help"], ["--version"]],
    ids=" ".join,
)
def test_help_loads_nothing_heavy(words):
    program = f"""
import sys
sys.argv = ["stage1", *{words!r}]
from stage1_cli.app import main
try:
    main()
except SystemExit:
    pass
print(*{{name.split(".")[0] for name in sys.modules}}, file=sys.stderr)
"""
    made = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert made.stdout
    assert not HEAVY & set(made.stderr.split())
