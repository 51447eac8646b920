"""The figures for Prometheus: one page on 127.0.0.1, for who has the token. Off unless wanted.

Only GET /metrics is answered. A browser on this computer cannot be led here: the token is a header
of its own, and the Host must be this computer.
"""

from __future__ import annotations

import secrets as chance
import threading
from collections.abc import Callable
from hmac import compare_digest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import structlog

from agent.config import Settings
from agent.config.secrets import Secrets
from agent.support.exposition import CONTENT_TYPE

log = structlog.get_logger(__name__)

HOST = "127.0.0.1"
TOKEN = "metrics.token"  # noqa: S105 - the secret's name
_HOSTS = frozenset({"127.0.0.1", "localhost"})
_SILENCE_S = 5.0


def metrics_token(secrets: Secrets, *, renew: bool = False) -> str:
    """The token; made where there is none."""
    kept = None if renew else secrets.get(TOKEN)
    if kept:
        return kept
    made = chance.token_urlsafe(32)
    secrets.set(TOKEN, made)
    return made


class MetricsDoor:
    """Serves until closed."""

    def __init__(self, port: int, token: Callable[[], str], page: Callable[[], bytes]) -> None:
        """OSError where the port is taken. ``token`` is asked each time: it may be renewed."""

        class Handler(_Handler):
            read_token = staticmethod(token)
            read_page = staticmethod(page)

        self._server = ThreadingHTTPServer((HOST, port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    timeout = _SILENCE_S
    server_version = "bridgework"
    sys_version = ""
    read_token: Callable[[], str]
    read_page: Callable[[], bytes]

    def do_GET(self) -> None:
        host = (self.headers.get("host") or "").rpartition(":")[0] or self.headers.get("host")
        if host not in _HOSTS:
            self._answer(403, b"")
            return
        kind, _, given = (self.headers.get("authorization") or "").partition(" ")
        if kind.lower() != "bearer" or not compare_digest(given, self.read_token()):
            self._answer(401, b"")
        elif self.path != "/metrics":
            self._answer(404, b"")
        else:
            self._answer(200, self.read_page())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing: a page every few seconds is no event."""


def open_door(
    settings: Settings, secrets: Secrets, page: Callable[[], bytes]
) -> MetricsDoor | None:
    """Where the settings name a port. One that is taken is logged; the agent works all the same."""
    if not settings.metrics.port:
        return None
    try:
        return MetricsDoor(settings.metrics.port, lambda: metrics_token(secrets), page)
    except OSError as error:
        log.warning("metrics.not_served", reason=type(error).__name__)
        return None
