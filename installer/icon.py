"""The program's icon: the one drawing, at every size Windows asks for, in one .ico file."""

from __future__ import annotations

import struct
from pathlib import Path

SIZES = (16, 20, 24, 32, 40, 48, 64, 128, 256)


def write_ico(svg: Path, target: Path) -> None:
    """PNG frames in an ICO container (as Windows Vista and later read it)."""
    from PySide6.QtCore import QBuffer, QByteArray, QIODevice, Qt
    from PySide6.QtGui import QImage, QPainter
    from PySide6.QtSvg import QSvgRenderer

    drawing = QSvgRenderer(str(svg))
    frames: list[bytes] = []
    for size in SIZES:
        image = QImage(size, size, QImage.Format.Format_ARGB32)
        image.fill(Qt.GlobalColor.transparent)
        painter = QPainter(image)
        drawing.render(painter)
        painter.end()
        png = QByteArray()
        out = QBuffer(png)
        out.open(QIODevice.OpenModeFlag.WriteOnly)
        image.save(out, "PNG")
        frames.append(png.data())
    head = struct.pack("<HHH", 0, 1, len(frames))
    offset = len(head) + 16 * len(frames)
    entries = b""
    for size, frame in zip(SIZES, frames, strict=True):
        side = size % 256  # 256 is written as 0
        entries += struct.pack("<BBBBHHII", side, side, 0, 0, 1, 32, len(frame), offset)
        offset += len(frame)
    target.write_bytes(head + entries + b"".join(frames))
