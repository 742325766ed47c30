"""`--help` of every command: summary, working examples, 80 columns."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from ingest.cli import app

PROGRAM = str(Path(sys.executable).with_name("darkroom"))
RUNNING = {("serve",), ("worker",)}
"""Commands that run until stopped and print a log."""
FILES = {("edge", "nginx"), ("edge", "cloudfront")}
"""Commands that print a configuration file of another program."""

ROOT = typer.main.get_command(app)


def walk(command: object = ROOT, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield words
    for name, child in getattr(command, "commands", {}).items():
        yield from walk(child, (*words, name))


def find(words: tuple[str, ...]) -> object:
    command: object = ROOT
    for word in words:
        command = command.commands[word]
    return command


def printed(*command: str, **environment: str) -> str:
    """Returns the output of a command in a pipe, at 80 columns."""
    done = subprocess.run(
        command,
        env={"PATH": os.defpath, "HOME": "/nonexistent", "LANG": "C.UTF-8", **environment},
        text=True,
        capture_output=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


ALL = sorted(walk())
LEAVES = [words for words in ALL if not hasattr(find(words), "commands")]


PAGES = """
import json, sys
from ingest.cli import app
for words in json.loads(sys.argv[1]):
    app([*words, "--help"], prog_name="darkroom", standalone_mode=False)
    print("end of page")
"""


@pytest.fixture(scope="module")
def pages() -> dict[tuple[str, ...], str]:
    """All help pages, printed by one process."""
    *texts, rest = printed(sys.executable, "-c", PAGES, json.dumps(ALL)).split("end of page\n")
    assert rest == ""
    return dict(zip(ALL, texts, strict=True))


@pytest.mark.slow
def test_program_prints_the_same_help(pages: dict[tuple[str, ...], str]) -> None:
    assert printed(PROGRAM, "serve", "--help") == pages["serve",]


@pytest.mark.parametrize("words", ALL)
def test_help_fits_80_columns_without_colour(pages: dict[tuple[str, ...], str], words: tuple[str, ...]) -> None:
    assert max(map(len, pages[words].splitlines())) <= 80
    assert "\x1b" not in pages[words]


@pytest.mark.heavy
def test_colour_is_for_terminals_only() -> None:
    terminal = {"FORCE_COLOR": "1", "TERM": "xterm-256color"}

    assert "\x1b[" in printed(PROGRAM, "--help", **terminal)
    assert re.findall("\x1b\\[[0-9;]*3[0-7]m", printed(PROGRAM, "--help", NO_COLOR="1", **terminal)) == []


@pytest.mark.parametrize("words", ALL)
def test_examples_use_existing_commands_and_options(pages: dict[tuple[str, ...], str], words: tuple[str, ...]) -> None:
    page = pages[words]
    examples = [line.strip() for line in page[page.index("Examples:") :].splitlines() if line.startswith(" $ ")]
    assert examples
    assert all(example == "$ " + line for example, line in zip(examples, documented(words), strict=True))
    for example in examples:
        *_, ours = re.split(r"\bdarkroom ", example)
        assert set(options(ours)) <= known(ours), example
        assert tuple(ours.split())[: len(words)] == words


def documented(words: tuple[str, ...]) -> list[str]:
    return [line.removeprefix("$ ") for line in find(words).help.splitlines() if line.startswith("$ ")]


def options(line: str) -> list[str]:
    return [word for word in shlex.split(line) if word.startswith("--")]


def known(line: str) -> set[str]:
    """Returns the options of the command that a line calls."""
    command: object = ROOT
    for word in line.split():
        if word not in getattr(command, "commands", {}):
            break
        command = command.commands[word]
    return {name for parameter in command.params for name in parameter.opts}


@pytest.mark.parametrize("words", LEAVES)
def test_every_command_and_option_has_help(words: tuple[str, ...]) -> None:
    command = find(words)
    summary = command.help.split("\n\n")[0]
    assert len(summary) <= 68, "it is cut or folded in the list of commands"
    assert summary.endswith(".")
    assert all(parameter.help for parameter in command.params)


@pytest.mark.parametrize("words", LEAVES)
def test_every_result_is_available_as_json(words: tuple[str, ...]) -> None:
    names = {name for parameter in find(words).params for name in parameter.opts}
    assert ("--json" in names) is (words not in RUNNING | FILES)


def test_defaults_are_shown(pages: dict[tuple[str, ...], str]) -> None:
    assert "[default: 8000]" in pages["serve",]
    assert "[default: 127.0.0.1]" in pages["serve",]
    assert "[default: 1]" in pages["worker",]


def test_main_help_groups_commands_and_names_settings_and_exit_codes(
    pages: dict[tuple[str, ...], str],
) -> None:
    page = pages[()]
    groups = re.findall(r"^╭─ (\w+) ─", page, re.MULTILINE)
    assert groups == ["Options", "Run", "Uploads", "Upkeep"]
    listed = re.findall(r"^│ ([a-z]+) ", page, re.MULTILINE)
    assert sorted(listed) == sorted(ROOT.commands)
    text = " ".join(page.split())
    assert "Exit codes: 0 success; 1 something failed, and the output says what; 2 the command or the" in text
    assert "environment variables, then .env, then darkroom.toml" in text


def test_version_is_that_of_the_installed_package() -> None:
    done = CliRunner().invoke(app, ["--version"])

    assert (done.exit_code, done.output) == (0, f"darkroom {version('darkroom-origin')}\n")
