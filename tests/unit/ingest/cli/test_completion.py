"""Shell completion: what it offers, and that it imports nothing heavy."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
HEAVY = {"anyio", "boto3", "numpy", "PIL", "prometheus_client", "redis", "rich", "sqlalchemy", "structlog", "uvicorn"}
"""Their imports take longer than everything else. (Typer itself imports pydantic.)"""


def run(*command: str, **environment: str) -> str:
    done = subprocess.run(
        command,
        env={"PATH": f"{BIN}:{os.defpath}", "HOME": "/nonexistent", **environment},
        text=True,
        capture_output=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def in_bash(lines: Iterable[str]) -> list[list[str]]:
    """Returns what bash offers at the end of each line, using the script of `--show-completion`."""
    program = """
        source <(darkroom --show-completion)
        [ "$(complete -p darkroom)" = "complete -o default -F _darkroom_completion darkroom" ] || exit 1
    """
    for line in lines:
        words = " ".join(f"'{word}'" for word in line.split(" "))
        program += f"""
            COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
            _darkroom_completion darkroom
            echo "${{COMPREPLY[*]}}"
        """
    return [line.split() for line in run("bash", "--norc", "-c", program).splitlines()]


@pytest.mark.heavy
@pytest.mark.parametrize(
    "offered",
    [
        {"darkroom wa": ["warm"], "darkroom warm --": ["--all", "--missing", "--from", "--json", "--help"]},
        pytest.param(
            {
                "darkroom up": ["upload"],
                "darkroom edge ": ["nginx", "cloudfront"],
                "darkroom upload --w": ["--wait"],
                "darkroom serve --role p": ["proxy"],
                "darkroom upload ph": [],
            },
            marks=pytest.mark.slow,
        ),
    ],
    ids=["few", "more"],
)
def test_bash_completes_commands_options_and_values(offered: dict[str, list[str]]) -> None:
    assert in_bash(offered) == [*offered.values()]


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("shell", "registers"), [("zsh", "compdef _darkroom_completion darkroom"), ("fish", "complete --command darkroom")]
)
def test_other_shells_have_a_completion_script(shell: str, registers: str) -> None:
    script = run("darkroom", _DARKROOM_COMPLETE=f"source_{shell}")

    assert registers in script
    assert f"_DARKROOM_COMPLETE=complete_{shell}" in script


@pytest.mark.slow
def test_zsh_and_fish_show_command_summaries() -> None:
    zsh = run("darkroom", _DARKROOM_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS="darkroom do")
    fish = run(
        "darkroom",
        _DARKROOM_COMPLETE="complete_fish",
        _TYPER_COMPLETE_ARGS="darkroom do",
        _TYPER_COMPLETE_FISH_ACTION="get-args",
    )

    summary = "Check everything Darkroom depends on, and say what to fix."
    assert f'"doctor":"{summary}"' in zsh
    assert fish == f"doctor\t{summary}\n"


PROGRAM = """
import json, sys
from ingest.cli import app
try:
    app(prog_name="darkroom")
finally:
    print()
    print(json.dumps(sorted(sys.modules)))
"""


@pytest.mark.heavy
def test_completion_imports_nothing_heavy() -> None:
    tab = {"_DARKROOM_COMPLETE": "complete_bash", "COMP_WORDS": "darkroom wa", "COMP_CWORD": "1"}

    offered, *_, modules = run(sys.executable, "-c", PROGRAM, **tab).splitlines()

    packages = {name.partition(".")[0] for name in json.loads(modules)}
    assert offered == "warm"
    assert {"ingest", "typer"} <= packages
    assert not packages & HEAVY
