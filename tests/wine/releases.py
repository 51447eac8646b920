"""Where the lane's agents look for new versions: a real HTTP server of the host, offers signed with
the key of the build."""

from __future__ import annotations

import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from installer.release import OFFER, UpdateKey, offer_of


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        super().do_GET()


class Releases:
    """``folder``: what is served. ``asked``: the paths that were."""

    def __init__(self, folder: Path, key: UpdateKey) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.key = key
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
        self.asked: list[str] = []
        self._server.asked = self.asked  # type: ignore[attr-defined]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def offer(self, msi: Path, version: str, **changes: object) -> dict[str, Any]:
        """From now on this installer is offered; what stands in the offer. Once it is whole."""
        served = self.folder / msi.name
        if not served.exists():
            served.symlink_to(msi)
        told: dict[str, Any] = {**json.loads(offer_of(msi, version, self.url)), **changes}
        draft = self.folder / "draft"
        draft.write_bytes(self.key.seal(json.dumps(told)))
        draft.replace(self.folder / OFFER)
        return told
