"""``python -m tests.reliability``: write RELIABILITY.md from what the lanes have kept.

``--check``: write nothing; exit code 1 when the file is not what would be written.
``--lane NAME``: run one of the lanes that are tests already; ``--keep`` its figures.
"""

from __future__ import annotations

import argparse
import sys

from tests.artefact import ROOT, read_all
from tests.reliability.document import document
from tests.reliability.lanes import LANES, run

FILE = ROOT / "RELIABILITY.md"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--lane", choices=sorted(LANES))
    parser.add_argument("--keep", action="store_true", help="--lane: write tests/artefacts/NAME")
    asked = parser.parse_args(argv)
    if asked.lane:
        return run(asked.lane, keep=asked.keep)
    text = document(read_all())
    if asked.check:
        return 0 if FILE.exists() and FILE.read_text(encoding="utf-8") == text else 1
    FILE.write_text(text, encoding="utf-8")
    print(FILE.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
