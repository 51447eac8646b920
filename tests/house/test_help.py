"""Help pages: commands they name exist, links and pictures are there, the index knows all."""

from __future__ import annotations

import html
import re
from pathlib import Path

import click
import pytest

from agent.cli import main
from agent.config.settings import MANIFEST
from gui.helppages import is_in, page_file

HELP = Path(__file__).resolve().parents[2] / "assets" / "help"
PAGES = sorted(HELP.glob("*.html"))


def _code(page: Path) -> list[str]:
    """Lines of all ``<code>`` of a page."""
    found = re.findall(r"<code>(.*?)</code>", page.read_text(encoding="utf-8"), re.DOTALL)
    return [line.strip() for block in found for line in html.unescape(block).splitlines()]


def _is_command(line: str) -> bool:
    """Whether ``bridgework a b --c`` leads to a command that has these options."""
    words = line.split("#", maxsplit=1)[0].split()[1:]
    command: click.Command = main
    context = click.Context(main)
    while words and isinstance(command, click.Group) and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        if found is None:
            return False
        command, words = found, words[1:]
    options = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    named = {word.partition("=")[0] for word in words if word.startswith("--")}
    return named <= options | {"--help"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_exists(page: Path) -> None:
    lines = [line for line in _code(page) if line.startswith("bridgework ")]
    assert [line for line in lines if not _is_command(line)] == []


def test_the_check_finds_a_command_that_is_none() -> None:
    assert _is_command("bridgework csv undo 3")
    assert not _is_command("bridgework csv undone")
    assert not _is_command("bridgework status --yaml")


def test_settings_that_are_named_exist() -> None:
    for page in PAGES:
        for line in _code(page):
            for name in re.findall(r"config (?:set|get) ([a-z_]+\.[a-z_]+)", line):
                assert name in MANIFEST, (page.name, name)


def test_the_front_desks_page_says_the_same_in_spanish() -> None:
    """Place by place and row by row; every other page says that it is English."""
    english, spanish = (
        (HELP / name).read_text(encoding="utf-8")
        for name in ("front-desk.html", "front-desk.es.html")
    )
    for what in (r'<h2 id="([^"]+)"', r"<(tr|li|kbd)>"):
        assert re.findall(what, english) == re.findall(what, spanish), what
    assert is_in("front-desk", "es")
    assert not is_in("install", "es")
    assert page_file("install", "es") == HELP / "install.html"
    assert page_file("front-desk", "es") == HELP / "front-desk.es.html"


def test_links_pictures_and_the_index_are_whole() -> None:
    texts = {page.name: page.read_text(encoding="utf-8") for page in PAGES}
    assert {"index.html", "front-desk.html", "install.html", "support.html", "incident.html",
            "data-map.html", "privacy.html"} <= texts.keys()  # fmt: skip
    for name, text in texts.items():
        for target in re.findall(r'(?:href|src)="([^"]+)"', text):
            file, _, place = target.partition("#")
            assert (HELP / (file or name)).exists(), (name, target)
            if place:
                assert f'id="{place}"' in texts[file or name], (name, target)
        assert all(alt.strip() for alt in re.findall(r'<img [^>]*alt="([^"]*)"', text)), name
    index = texts.pop("index.html")
    for name, text in texts.items():
        for place in re.findall(r'<h2 id="([^"]+)"', text):
            assert f'href="{name}#{place}"' in index, (name, place)
