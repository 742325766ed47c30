"""Output of commands: rows that scripts can read, and no control characters."""

import pytest
import typer

from ingest.cli.console import format_size, print_table, run, stop
from proxy.errors import StoreUnavailable, UnknownUpload

LONG = "https://cdn.example/" + "long/" * 100 + "picture.jpg"


def test_table_in_a_pipe_has_one_line_per_row(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("Size", "URL"), [("1", LONG), ("200", "short")], numbers={"Size"})

    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert [line.split() for line in lines if "─" not in line] == [["Size", "URL"], ["1", LONG], ["200", "short"]]
    assert lines[2].startswith("    1 ")


def test_table_cells_are_neither_control_characters_nor_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("File",), [("\x1b[2Jgone\r",), ("[bold]name[/bold]",)])

    printed = capsys.readouterr().out
    assert "\N{REPLACEMENT CHARACTER}[2Jgone\N{REPLACEMENT CHARACTER}" in printed
    assert "[bold]name[/bold]" in printed
    assert "\x1b" not in printed


@pytest.mark.parametrize(
    ("count", "shown"), [(None, ""), (0, "0 bytes"), (999, "999 bytes"), (112_525, "112.5 kB"), (3_521_004, "3.5 MB")]
)
def test_format_size_uses_the_largest_fitting_unit(count: int | None, shown: str) -> None:
    assert format_size(count) == shown


def test_service_error_is_printed_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    async def away() -> None:
        raise StoreUnavailable("The bucket [main] does not exist.")

    with pytest.raises(typer.Exit) as ended:
        run(away())

    assert ended.value.exit_code == 1
    assert capsys.readouterr() == ("", "Object store unavailable: The bucket [main] does not exist.\n")


def test_errors_of_several_tasks_are_all_printed(capsys: pytest.CaptureFixture[str]) -> None:
    async def both() -> None:
        raise ExceptionGroup("", [StoreUnavailable("one"), ExceptionGroup("", [UnknownUpload("two")])])

    with pytest.raises(typer.Exit):
        run(both())

    assert capsys.readouterr().err == "Object store unavailable: one\nNo such upload: two\n"


def test_group_with_an_unexpected_error_is_raised() -> None:
    async def defective() -> None:
        raise ExceptionGroup("", [StoreUnavailable("one"), KeyError("two")])

    with pytest.raises(ExceptionGroup):
        run(defective())


def test_usage_error_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        stop("Give upload ids.", code=2)

    assert ended.value.exit_code == 2
    assert capsys.readouterr() == ("", "Give upload ids.\n")
