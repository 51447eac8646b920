"""Colours, type and shape of everything, in one place; no other module names a colour.

    theme = Theme(app)            # follows the system; Theme(app, Scheme.DARK) does not
    theme.colour("good")          # QColor
    theme.icon("nav/overview", "soft")
    theme.changed                 # repaint what you painted yourself

Style sheets speak by object property: ``setProperty("kind", "title")`` gives a label the title's
type, ``"primary"`` a button the main one's looks; see ``assets/theme.qss``.
"""

from __future__ import annotations

import re
import string
import sys
import tomllib
from enum import StrEnum
from functools import lru_cache

from PySide6.QtCore import QByteArray, QObject, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QGuiApplication, QIcon, QPainter, QPalette, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QApplication, QWidget

from agent.config.paths import assets_dir

FAMILIES = ("Segoe UI Variable Text", "Segoe UI", "Inter", "Open Sans", "Noto Sans", "DejaVu Sans")
# Points by what a text is; the system's own size is the body's, so larger system text scales all.
SIZES = {"caption": 0.9, "body": 1.0, "subtitle": 1.1, "title": 1.5, "display": 2.0}
_MARK = re.compile(r'<g id="mark">.*?</g>')
_ICON_SIZES = (16, 20, 24, 32, 48, 64)


class Scheme(StrEnum):
    LIGHT = "light"
    DARK = "dark"
    CONTRAST = "contrast"


class Theme(QObject):
    """Dresses the application; ``changed`` after it was dressed anew."""

    changed = Signal()

    def __init__(self, app: QApplication, fixed: Scheme | None = None) -> None:
        super().__init__(app)
        self._app = app
        self._fixed = fixed
        self.scheme = fixed or system_scheme()
        self._body_pt = _body_points(app)
        app.setStyle("Fusion")
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._system_changed)
        self._dress()

    def choose(self, fixed: Scheme | None) -> None:
        """None: as the system is."""
        self._fixed = fixed
        self._system_changed()

    def colour(self, name: str) -> QColor:
        return QColor(colours(self.scheme)[name])

    def font(self, size: str = "body", *, strong: bool = False) -> QFont:
        font = QFont(self._app.font())
        font.setPointSizeF(self._body_pt * SIZES[size])
        if strong:
            font.setWeight(QFont.Weight.DemiBold)
        return font

    def icon(self, name: str, tone: str = "") -> QIcon:
        """``assets/icons/<name>.svg``; its ink painted in ``tone`` where given."""
        return svg_icon(name, self.scheme, tone)

    def counted_icon(self, name: str, count: int) -> QIcon:
        """The icon with a number in the place of its mark; 0 leaves the mark."""
        return svg_icon(name, self.scheme, "", min(count, 10))

    def _system_changed(self) -> None:
        scheme = self._fixed or system_scheme()
        if scheme is not self.scheme:
            self.scheme = scheme
            self._dress()
            self.changed.emit()

    def _dress(self) -> None:
        self._app.setFont(_font(self._body_pt))
        self._app.setPalette(_palette(colours(self.scheme)))
        self._app.setStyleSheet(style_sheet(self.scheme, self._body_pt))


def system_scheme() -> Scheme:
    if _is_high_contrast():
        return Scheme.CONTRAST
    dark = QGuiApplication.styleHints().colorScheme() is Qt.ColorScheme.Dark
    return Scheme.DARK if dark else Scheme.LIGHT


def set_kind(widget: QWidget, kind: str) -> None:
    """What the widget is for the style sheet; may change while it is shown."""
    if widget.property("kind") != kind:
        widget.setProperty("kind", kind)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


def set_tone(widget: QWidget, tone: str) -> None:
    """good, warn, bad, idle or "": its colours."""
    if widget.property("tone") != tone:
        widget.setProperty("tone", tone)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


@lru_cache(maxsize=1)
def _tables() -> dict[str, dict[str, str]]:
    return tomllib.loads((assets_dir() / "theme.toml").read_text(encoding="utf-8"))


def colours(scheme: Scheme) -> dict[str, str]:
    """Name -> ``#rrggbb``."""
    return _tables()[scheme.value]


def style_sheet(scheme: Scheme, body_pt: float) -> str:
    template = string.Template((assets_dir() / "theme.qss").read_text(encoding="utf-8"))
    sizes = {f"pt_{name}": f"{body_pt * factor:.1f}pt" for name, factor in SIZES.items()}
    icons = (assets_dir() / "icons").as_posix()
    return template.substitute(colours(scheme), **sizes, icons=icons, scheme=scheme.value)


def svg_text(icon: str, scheme: Scheme, tone: str = "", count: int = 0) -> str:
    """Drawn in the light colours; swapped for the scheme's, and ink for ``tone``. ``count``: in
    figures in the place of the group ``mark``; more than nine is 9+."""
    text = (assets_dir() / "icons" / f"{icon}.svg").read_text(encoding="utf-8")
    if count:
        text = _MARK.sub(_figures(count), text)
    light, wanted = colours(Scheme.LIGHT), colours(scheme)
    for name, colour in light.items():
        new = wanted[tone] if name == "ink" and tone else wanted[name]
        text = text.replace(colour, f"\0{new[1:]}")  # not swapped twice
    return text.replace("\0", "#")


@lru_cache(maxsize=256)
def svg_icon(name: str, scheme: Scheme, tone: str = "", count: int = 0) -> QIcon:
    renderer = QSvgRenderer(QByteArray(svg_text(name, scheme, tone, count).encode()))
    icon = QIcon()
    for size in _ICON_SIZES:
        icon.addPixmap(_pixmap(renderer, size))
    return icon


def _figures(count: int) -> str:
    shown, size = ("9+", 12) if count > 9 else (str(count), 17)
    ground = colours(Scheme.LIGHT)["surface"]
    return (
        f'<text x="16" y="{16 + size * 0.36:.1f}" text-anchor="middle" font-size="{size}"'
        f' font-weight="700" font-family="{FAMILIES[0]}, sans-serif" fill="{ground}">{shown}</text>'
    )


def _pixmap(renderer: QSvgRenderer, size: int) -> QPixmap:
    pixmap = QPixmap(QSize(size, size))
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    renderer.render(painter, QRectF(0, 0, size, size))
    painter.end()
    return pixmap


def _font(points: float) -> QFont:
    font = QFont()
    font.setFamilies(list(FAMILIES))
    font.setPointSizeF(points)
    return font


def _body_points(app: QApplication) -> float:
    """Windows says 9; a system set to larger text says more."""
    given = app.font().pointSizeF()
    return given if sys.platform == "win32" and given > 0 else 10.0


def _palette(c: dict[str, str]) -> QPalette:
    role = QPalette.ColorRole
    pairs = {
        role.Window: "ground", role.WindowText: "ink", role.Base: "surface",
        role.AlternateBase: "sunken", role.Text: "ink", role.Button: "surface",
        role.ButtonText: "ink", role.Highlight: "accent_soft", role.HighlightedText: "ink",
        role.ToolTipBase: "ink", role.ToolTipText: "surface", role.Link: "accent",
        role.LinkVisited: "accent", role.PlaceholderText: "soft", role.Mid: "line",
        role.Accent: "accent",
    }  # fmt: skip
    palette = QPalette()
    for where, name in pairs.items():
        palette.setColor(where, QColor(c[name]))
    for where in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, where, QColor(c["off"]))
    return palette


def _is_high_contrast() -> bool:
    """Windows: SystemParametersInfo(SPI_GETHIGHCONTRAST), flag HCF_HIGHCONTRASTON. Not run here."""
    if sys.platform == "win32":
        import ctypes

        class HighContrast(ctypes.Structure):
            _fields_ = (
                ("size", ctypes.c_uint),
                ("flags", ctypes.c_uint),
                ("scheme", ctypes.c_wchar_p),
            )

        told = HighContrast(size=ctypes.sizeof(HighContrast))
        asked = ctypes.windll.user32.SystemParametersInfoW(0x42, told.size, ctypes.byref(told), 0)
        return bool(asked) and bool(told.flags & 1)
    return False
