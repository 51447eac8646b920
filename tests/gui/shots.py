"""Pictures of every scene and tray state: light, dark, large, high contrast, pseudo-language.

``python3 dev.py shot [scene ...]`` takes every tab, the queues of Review, the data map and the
wizard's pages dark and at 100, 150 and 200 %, into a folder it names; ``--to FOLDER`` elsewhere,
``--looks light,contrast,pseudo`` others. ``--help-pages`` takes those that the help pages show, in
their place. A real agent with a sample practice serves them all; one process a look, for Qt takes
its scale at the start.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HELP = ROOT / "assets" / "help"
SIZE = (1120, 740)
# look -> scheme, language, scale, ending of the file's name
LOOKS = {
    "light": ("light", "en", 1.0, ""),
    "dark": ("dark", "en", 1.0, "-dark"),
    "big": ("light", "en", 1.5, "-150"),
    "huge": ("light", "en", 2.0, "-200"),
    "contrast": ("contrast", "en", 1.0, "-contrast"),
    "pseudo": ("light", "pseudo", 1.0, "-pseudo"),
    "small": ("light", "en", 1.0, "-small"),
    "spanish": ("light", "es", 1.0, "-es"),
}
USUAL = "light,dark,big,huge"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenes", nargs="*")
    parser.add_argument("--looks", default="")
    parser.add_argument("--to", type=Path)
    parser.add_argument("--help-pages", action="store_true", help="those in use, under assets/help")
    parser.add_argument("--home", type=Path, help="of an agent that runs already")
    parser.add_argument("--look", help="internal: take this look's pictures in this process")
    wish = parser.parse_args(arguments)
    if wish.look:
        return _take(wish.look, wish.home, wish.to, wish.scenes)
    wish.looks = wish.looks or USUAL
    if wish.help_pages:
        wish.to = HELP
    wish.to = wish.to or Path(tempfile.mkdtemp(prefix="bridgework-pictures-"))
    wish.to.mkdir(parents=True, exist_ok=True)
    print(wish.to)
    wanted = dict.fromkeys(wish.looks.split(","), wish.scenes)
    if wish.help_pages:
        wanted = in_use()
    if wish.home:
        return _looks(wish.home, wanted, wish.to)
    from tests.gui.showcase import showcase

    folder = tempfile.TemporaryDirectory(prefix="bridgework-shots-")
    with folder as made, showcase(Path(made)) as home:
        return _looks(home, wanted, wish.to)


def in_use() -> dict[str, list[str]]:
    """Scenes the help pages show, by look."""
    pages = "".join(page.read_text(encoding="utf-8") for page in sorted(HELP.glob("*.html")))
    found = sorted(set(re.findall(r'src="window-([a-z-]+)\.png"', pages)))
    spanish = LOOKS["spanish"][3]
    return {
        "light": [name for name in found if not name.endswith(spanish)],
        "spanish": [name.removesuffix(spanish) for name in found if name.endswith(spanish)],
    }


def _looks(home: Path, wanted: Mapping[str, Sequence[str]], to: Path) -> int:
    failed = 0
    for look, scenes in wanted.items():
        environ = dict(os.environ, QT_SCALE_FACTOR=str(LOOKS[look][2]), PYTHONPATH=str(ROOT))
        environ["LANG"] = "es_US.UTF-8" if look == "spanish" else "en_US.UTF-8"
        command = [sys.executable, "-m", "tests.gui.shots", "--look", look, "--home", str(home)]
        command += ["--to", str(to), *scenes]
        failed |= subprocess.run(command, env=environ, cwd=ROOT, check=False).returncode
    if shutil.which("trayer") and any(not s or "panel" in s for s in wanted.values()):
        _panel(home, to)
    return failed


def _panel(home: Path, to: Path) -> None:
    """The icon in a real panel, its menu open."""
    from tests.gui.panel import Panel

    with Panel() as panel:
        command = [sys.executable, "-m", "gui", "--home", str(home)]
        tray = subprocess.Popen(command, env={**panel.environ, "PYTHONPATH": str(ROOT)})
        try:
            panel.wait_icons(1)
            time.sleep(3)
            panel.run("xdotool", "mousemove", "872", "580", "click", "3")
            time.sleep(1)
            panel.picture(to / "window-panel.png")
            print("window-panel.png")
        finally:
            tray.terminate()
            tray.wait(10)


def _take(look: str, home: Path, to: Path, wanted: Sequence[str]) -> int:
    from tests.gui.screen import unseen

    unseen()
    from PySide6.QtWidgets import QApplication, QDialog

    from gui.app import Desktop
    from gui.link import Standing
    from gui.prefs import Prefs
    from tests.gui.scenes import SCENES, SHEETS

    scheme, language, _, ending = LOOKS[look]
    app = QApplication([])
    app.setQuitOnLastWindowClosed(False)
    with tempfile.TemporaryDirectory() as folder:
        prefs = Prefs(f"{folder}/window.ini")
        prefs.put("theme", scheme)
        prefs.put("language", language)
        desktop = Desktop(app, home, prefs=prefs)

        def settle(until: Callable[[], bool]) -> None:
            deadline = time.monotonic() + 15
            while not until() and time.monotonic() < deadline:
                app.processEvents()
                time.sleep(0.01)
            calm = time.monotonic() + 0.4  # what was asked is answered
            while time.monotonic() < calm:
                app.processEvents()
                time.sleep(0.01)

        desktop.start()
        settle(lambda: desktop.link.standing is Standing.UP)
        desktop.window.resize(*((1024, 640) if look == "small" else SIZE))
        scenes = {**SCENES, **(SHEETS if look == "light" else {})}
        for name, scene in scenes.items():
            if not wanted or name in wanted:
                root = scene(desktop, settle)
                picture = root.grab()
                if isinstance(root, QDialog):  # it lies before the window
                    root.close()
                picture.save(str(to / f"window-{name}{ending}.png"))
                print(f"window-{name}{ending}.png")
        desktop.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
