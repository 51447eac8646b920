"""Modules of a frozen program exchanged for others: run by the Python that froze it.

python swap.py SOURCE EXE [EXE ...] -- MODULE [MODULE ...]

For the Wine lane alone, which needs the same program as other versions (``variants``); freezing it
anew for each would take minutes. PyInstaller's own words for what is read here: CArchive (the
package behind the loader's bytes) and PYZ (the modules, one entry of it). Standard library only.
"""

from __future__ import annotations

import marshal
import struct
import sys
import zlib
from pathlib import Path

_COOKIE = struct.Struct("!8sIIII64s")
_COOKIE_MAGIC = b"MEI\014\013\012\013\016"
_ENTRY = struct.Struct("!IIIIBc")
_PYZ_MAGIC = b"PYZ\0"
_PYZ_TOC_AT = struct.Struct("!i")
_PYZ_TOC_FIELD = 8  # after the magic and the Python's own
_PYZ = b"z"


def swap(exe: Path, source: Path, modules: list[str]) -> int:
    """How many modules of ``exe`` are now those of ``source``."""
    content = exe.read_bytes()
    end = content.rindex(_COOKIE_MAGIC)
    magic, length, toc_at, toc_length, python, library = _COOKIE.unpack_from(content, end)
    start = end + _COOKIE.size - length
    package = content[start:end]
    count = 0
    data, toc = bytearray(), bytearray()
    at = toc_at
    while at < toc_at + toc_length:
        size, offset, packed, whole, flag, kind = _ENTRY.unpack_from(package, at)
        name = package[at + _ENTRY.size : at + size]
        part = package[offset : offset + packed]
        if kind == _PYZ:
            part, count = _swapped(part, source, modules)
            packed = whole = len(part)
        toc += _ENTRY.pack(size, len(data), packed, whole, flag, kind) + name
        data += part
        at += size
    length = len(data) + len(toc) + _COOKIE.size
    cookie = _COOKIE.pack(magic, length, len(data), len(toc), python, library)
    exe.write_bytes(content[:start] + data + toc + cookie)
    return count


def _swapped(pyz: bytes, source: Path, modules: list[str]) -> tuple[bytes, int]:
    if pyz[:4] != _PYZ_MAGIC:
        raise SystemExit("no archive of modules")
    (toc_at,) = _PYZ_TOC_AT.unpack_from(pyz, _PYZ_TOC_FIELD)
    toc = dict(marshal.loads(pyz[toc_at:]))
    made = bytearray(pyz[:toc_at])
    count = 0
    for module in modules:
        if module not in toc:
            continue
        path = source / Path(*module.split("."))
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        # The name tracebacks show: as PyInstaller writes it, below nothing.
        shown = file.relative_to(source).as_posix().replace("/", "\\")
        code = compile(file.read_bytes(), shown, "exec", dont_inherit=True)
        packed = zlib.compress(marshal.dumps(code), 6)
        toc[module] = (toc[module][0], len(made), len(packed))
        made += packed
        count += 1
    _PYZ_TOC_AT.pack_into(made, _PYZ_TOC_FIELD, len(made))
    made += marshal.dumps(list(toc.items()))
    return bytes(made), count


def main(arguments: list[str]) -> int:
    at = arguments.index("--")
    source, *programs = map(Path, arguments[:at])
    for program in programs:
        print(f"{program.name}: {swap(program, source, arguments[at + 1 :])}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
