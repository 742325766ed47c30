"""The page serves exactly its files, and none of them violates its policy."""

import re
from pathlib import Path

import pytest

import ingest.web.page
from ingest.web.page import PAGE_PATHS

FOLDER = Path(ingest.web.page.__file__).parent
FILES = {path.name for path in FOLDER.iterdir() if path.is_file()} - {"__init__.py"}
MODULES = sorted(name for name in FILES if name.endswith(".js"))


def test_page_serves_exactly_its_files() -> None:
    assert {Path(path).name or "index.html" for path in PAGE_PATHS} == FILES


def test_every_module_is_imported_by_another() -> None:
    text = "".join((FOLDER / name).read_text() for name in MODULES)
    imported = set(re.findall(r'^import .* from "\./([a-z.]+)";$', text, re.MULTILINE))
    assert imported == set(MODULES) - {"app.js"}


def test_markup_has_no_inline_script_style_or_handler() -> None:
    markup = (FOLDER / "index.html").read_text()
    assert re.findall(r"<script.*", markup) == ['<script type="module" src="page/app.js"></script>']
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|https?://(?!www\.w3\.org)", markup)


def test_urls_are_relative() -> None:
    """The service may be below a path of another site."""
    docs = FOLDER.parent / "docs"
    for path in (*FOLDER.iterdir(), *docs.iterdir()):
        if path.suffix in (".html", ".js", ".css"):
            assert not re.search(r"""["'`(]/[a-z]|(href|src|action)="/\"""", path.read_text()), path


@pytest.mark.parametrize("name", MODULES)
def test_module_makes_no_html_from_text_and_stays_short(name: str) -> None:
    text = (FOLDER / name).read_text()
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|localStorage", text
    )
    assert text.count("\n") < 200
