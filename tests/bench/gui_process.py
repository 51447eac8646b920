"""The desktop as a process of its own for ``bench_gui``: does what is asked, says what it took.

``python -m tests.bench.gui_process HOME open|rest|scroll|bare`` prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from PySide6.QtWidgets import QApplication, QWidget

from gui.app import Desktop
from gui.prefs import Prefs
from gui.windows.activity import Activity
from tests.gui.screen import unseen

FRAMES = 600
JUMPS = 60


def main(home: str, what: str) -> None:
    began = time.time() - psutil.Process().create_time()
    unseen()
    app = QApplication([])
    app.setQuitOnLastWindowClosed(False)
    told = {"imported_s": began}
    if what == "bare":
        told |= _bare(app)
    else:
        with tempfile.TemporaryDirectory() as folder:
            desktop = Desktop(app, Path(home), prefs=Prefs(f"{folder}/window.ini"))
            told |= _open(app, desktop)
            if what == "rest":
                told |= _rest(app, desktop)
            elif what == "scroll":
                told |= _scroll(app, desktop)
            desktop.close()
    print(json.dumps(told), flush=True)
    os._exit(0)


def _until(app: QApplication, holds: Callable[[], bool], within_s: float = 20.0) -> float:
    """Seconds it took; the event loop turns meanwhile."""
    began = time.perf_counter()
    while not holds():
        app.processEvents()
        time.sleep(0.002)
        if time.perf_counter() - began > within_s:
            raise TimeoutError
    return time.perf_counter() - began


def _settle(app: QApplication) -> None:
    end = time.perf_counter() + 0.5
    _until(app, lambda: time.perf_counter() > end)


def _open(app: QApplication, desktop: Desktop) -> dict[str, float]:
    """From the agent's first answer to a window that shows it and takes clicks."""
    desktop.start()
    _until(app, lambda: desktop.link.report is not None)
    answered = time.perf_counter()
    desktop.window.bring_up("overview")
    _until(app, lambda: desktop.window.isVisible() and desktop.view is not None)
    desktop.window.repaint()
    app.processEvents()
    usable_s = time.perf_counter() - answered
    return {"usable_s": usable_s, "rss_mb": psutil.Process().memory_info().rss / 1e6}


def _rest(app: QApplication, desktop: Desktop) -> dict[str, float]:
    """CPU of an open overview, and of the icon alone; memory once every tab was seen."""
    seconds = float(os.environ.get("REST_S", "20"))
    told = {"cpu_open": _cpu(app, seconds)}
    for name in desktop.shell.tabs - {"setup"}:
        desktop.window.open_at(name)
        _settle(app)
    told["rss_all_mb"] = psutil.Process().memory_info().rss / 1e6
    desktop.window.close()
    told["cpu_icon"] = _cpu(app, seconds)
    return told


def _cpu(app: QApplication, seconds: float) -> float:
    """Share of a core; the loop sleeps as ``exec`` would."""
    process = psutil.Process()
    from PySide6.QtCore import QTimer

    QTimer.singleShot(2000, app.quit)  # what opening still had to do
    app.exec()
    before, began = sum(process.cpu_times()[:2]), time.monotonic()
    QTimer.singleShot(int(seconds * 1000), app.quit)
    app.exec()
    return float((sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began))


def _scroll(app: QApplication, desktop: Desktop) -> dict[str, float]:
    desktop.window.open_at("activity")
    tab = desktop.window.tab
    assert isinstance(tab, Activity)
    _until(app, lambda: tab.model.rowCount() > 1000)
    bar, view = tab.table.verticalScrollBar(), tab.table.viewport()

    def frame(value: int) -> float:
        began = time.perf_counter()
        bar.setValue(value)
        view.repaint()
        app.processEvents()
        return (time.perf_counter() - began) * 1000

    smooth = [frame(at * 34 * 3) for at in range(FRAMES)]  # three lines a frame: a fast wheel
    dice = random.Random(1)
    jumps, filled = [], []
    for _ in range(JUMPS):
        jumps.append(frame(dice.randrange(bar.maximum())))
        middle = tab.table.rowAt(view.height() // 2)
        filled.append(_until(app, lambda row=middle: tab.model.row(row) is not None) * 1000)
    told = {"rows": float(tab.model.rowCount())}
    for name, found in (("frame", smooth), ("jump", jumps), ("filled", filled)):
        found.sort()
        told[f"{name}_p50_ms"] = statistics.median(found)
        told[f"{name}_p95_ms"] = found[int(len(found) * 0.95)]
        told[f"{name}_most_ms"] = found[-1]
    told["rss_scrolled_mb"] = psutil.Process().memory_info().rss / 1e6
    return told


def _bare(app: QApplication) -> dict[str, float]:
    """What Qt alone costs here."""
    began = time.perf_counter()
    window = QWidget()
    window.resize(1120, 740)
    window.show()
    app.processEvents()
    took = time.perf_counter() - began
    return {"usable_s": took, "rss_mb": psutil.Process().memory_info().rss / 1e6}


if __name__ == "__main__":
    main(*sys.argv[1:3])
