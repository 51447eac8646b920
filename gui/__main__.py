"""``python -m gui``: the tray icon and the window of the signed-in person."""

from __future__ import annotations

import sys

from gui.app import main

sys.exit(main(sys.argv[1:]))
