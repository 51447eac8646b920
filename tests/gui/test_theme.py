"""Colours can be read on their grounds; icons use no others; states differ in shape."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from PySide6.QtGui import QImage

from agent.config.paths import assets_dir
from agent.model.status import State
from gui.theme import Scheme, colours, style_sheet, svg_icon, svg_text

GROUNDS = ("ground", "surface", "sunken")
TEXT_ON = [
    *((ink, on) for ink in ("ink", "soft", "off", "accent") for on in GROUNDS),
    *((tone, on) for tone in ("good", "warn", "bad", "idle") for on in ("surface", "ground")),
    *((tone, f"{tone}_soft") for tone in ("good", "warn", "bad", "idle", "accent")),
    *(("ink", f"{tone}_soft") for tone in ("good", "warn", "bad", "idle", "accent")),
    *(("soft", f"{tone}_soft") for tone in ("good", "warn", "bad", "idle")),
    ("accent_ink", "accent"), ("surface", "ink"), ("surface", "bad"), ("surface", "warn"),
    ("surface", "good"), ("surface", "idle"), ("surface", "accent"),
]  # fmt: skip


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast of two ``#rrggbb``."""

    def light(colour: str) -> float:
        parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
        r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    bright, dark = sorted((light(one), light(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_the_measure_is_right() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", list(Scheme))
def test_every_text_can_be_read_on_its_ground(scheme: Scheme) -> None:
    c = colours(scheme)
    faint = {(ink, on): contrast(c[ink], c[on]) for ink, on in TEXT_ON}
    assert {pair: f"{n:.2f}" for pair, n in faint.items() if n < 4.5} == {}


@pytest.mark.parametrize("scheme", list(Scheme))
def test_borders_of_fields_can_be_seen(scheme: Scheme) -> None:
    c = colours(scheme)
    assert contrast(c["strong"], c["surface"]) >= 3.0
    assert contrast(c["accent"], c["surface"]) >= 3.0  # the focus ring


def _icons() -> list[str]:
    folder = assets_dir() / "icons"
    own = [p for p in folder.rglob("*.svg") if p.parent.name != "ui"]
    return sorted(str(p.relative_to(folder).with_suffix("")) for p in own)


def test_icons_are_drawn_in_colours_of_the_theme() -> None:
    light = set(colours(Scheme.LIGHT).values())
    assert len(_icons()) >= 18
    for name in _icons():
        text = (assets_dir() / "icons" / f"{name}.svg").read_text(encoding="utf-8")
        assert set(re.findall(r"#[0-9a-f]{6}", text)) <= light, name


@pytest.mark.parametrize("scheme", list(Scheme))
def test_icons_follow_the_theme(scheme: Scheme) -> None:
    allowed = set(colours(scheme).values())
    for name in _icons():
        assert set(re.findall(r"#[0-9a-f]{6}", svg_text(name, scheme))) <= allowed, name


def test_states_differ_in_shape_not_only_in_colour(qapp: object) -> None:
    """In grey, at the tray's size, no two are alike."""
    grey = {
        state: _bits(svg_icon(f"tray/{state.value}", Scheme.LIGHT).pixmap(24, 24).toImage())
        for state in State
    }
    for one, other in itertools.combinations(State, 2):
        differ = sum(a != b for a, b in zip(grey[one], grey[other], strict=True))
        assert differ >= 24 * 24 * 0.07, (one, other, differ)


def _bits(image: QImage) -> list[bool]:
    """Painted dark, as somebody sees it who sees no colours."""
    return [
        image.pixelColor(x, y).alpha() > 128 and image.pixelColor(x, y).lightness() < 150
        for x in range(image.width())
        for y in range(image.height())
    ]


@pytest.mark.parametrize("scheme", list(Scheme))
def test_the_style_sheet_is_whole(scheme: Scheme) -> None:
    sheet = style_sheet(scheme, 10.0)
    assert "$" not in sheet.replace("$names", "")
    for path in re.findall(r"url\(([^)]+)\)", sheet):
        assert Path(path).exists(), path


def test_no_colour_stands_in_code() -> None:
    root = assets_dir().parent / "gui"
    coloured = [
        str(p) for p in root.rglob("*.py") if re.search(r"#[0-9a-fA-F]{6}\b", p.read_text("utf-8"))
    ]
    assert coloured == []
