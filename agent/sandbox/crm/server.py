"""The reference CRM as a server: assembly, faults on purpose, and a life in a thread.

Imports Starlette, uvicorn and this package. ``CrmServer`` runs in tests and in the demo; the
``bridgework crm serve`` command runs the same thing in the foreground.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable
from hmac import compare_digest
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import apsw
import msgspec
import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.config import assets_dir
from agent.model.prepare import prepare_structs
from agent.sandbox.crm import accounts, commands, envelopes, orders, people, switches
from agent.sandbox.crm.api import Api
from agent.sandbox.crm.core import Core, CrmSettings
from agent.sandbox.crm.desk import Desk
from agent.sandbox.crm.faults import Fault, FaultKind, Faults
from agent.sandbox.crm.http import CUT, answer, read_json, refused
from agent.sandbox.crm.page import Page
from agent.sandbox.crm.problems import Refusal
from agent.sandbox.crm.schema import connect

T = TypeVar("T")

_log = structlog.get_logger(__name__)

CONTRACT: Final = Path("openapi") / "crm-sync.yaml"
_START_TIMEOUT_S: Final = 20.0
_STOP_TIMEOUT_S: Final = 10.0


def build_app(core: Core) -> ASGIApp:
    """The whole application over a ``Core``."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        core.wakeups.open()
        watching = asyncio.create_task(core.watch())
        yield
        watching.cancel()

    routes = [
        *Api(core, assets_dir() / CONTRACT).routes(),
        *Desk(core).routes(),
        *Page(core, assets_dir() / "crm-page").routes(),
    ]
    if core.settings.test_token:
        routes.append(Route("/testing/faults", _fault_door(core), methods=["POST"]))
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={
            Refusal: _on_refusal,
            HTTPException: _on_http_error,
            Exception: _on_failure,
        },
    )
    app.router.redirect_slashes = False
    return FaultMiddleware(app, core.faults)


def _on_refusal(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return refused(error)


def _on_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    name = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "invalid-request")
    return refused(Refusal(error.status_code, name, headers=error.headers or {}))


def _on_failure(request: Request, error: Exception) -> Response:
    # The class only: an exception's text may hold what the request carried.
    _log.error("crm.request_failed", route=request.url.path[:40], error=type(error).__name__)
    if isinstance(error, apsw.FullError | apsw.BusyError | apsw.IOError):
        return refused(Refusal(503, "temporary-reduced-capacity", headers={"Retry-After": "5"}))
    return refused(Refusal(500, "internal"))


def _fault_door(core: Core) -> Any:
    async def arm(request: Request) -> Response:
        given = request.headers.get("x-test-token", "")
        if not compare_digest(given.encode(), core.settings.test_token.encode()):
            raise Refusal(403, "insufficient-scope")
        faults = await read_json(request, list[Fault])
        core.faults.clear()
        core.faults.arm(*faults)
        return answer({"armed": len(faults)})

    return arm


class FaultMiddleware:
    """The outermost layer: does to a request what an armed fault says, and ends its errors."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = self._faults.of_request(scope["path"]) if scope["type"] == "http" else None
        try:
            await self._serve(fault, scope, receive, send)
        except Exception:
            # Starlette answers and logs, then raises again for the server to log the traceback,
            # whose texts may hold what the request carried.
            if scope["type"] != "http":
                raise

    async def _serve(self, fault: Fault | None, scope: Scope, receive: Receive, send: Send) -> None:
        if fault is None:
            await self._answer(scope, receive, send)
        elif fault.kind is FaultKind.SLOW:
            await asyncio.sleep(fault.delay_s)
            await self._app(scope, receive, send)
        elif fault.kind is FaultKind.STATUS:
            await _drain(receive)
            await refused(_status_refusal(fault))(scope, receive, send)
        elif fault.kind is FaultKind.RESET_BEFORE:
            await _cut(send, reset=True)
        else:
            await self._after_effect(fault, scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As it is, unless the endpoint itself asked for the line to be cut."""

        async def cut_or_send(message: Message) -> None:
            if scope.get(CUT):
                if message["type"] == "http.response.start":
                    await _cut(send, reset=True)
                return
            await send(message)

        await self._app(scope, receive, cut_or_send)

    async def _after_effect(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        held: list[Message] = []

        async def hold(message: Message) -> None:
            held.append(message)

        await self._app(scope, receive, hold)
        if fault.kind is FaultKind.STATUS_AFTER:
            await refused(_status_refusal(fault))(scope, receive, send)
            return
        if fault.kind is FaultKind.TRUNCATED:
            body = b"".join(m.get("body", b"") for m in held[1:])
            await send(held[0])
            half = {"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True}
            await send(half)
        elif fault.kind is FaultKind.SILENT_AFTER:
            await asyncio.sleep(fault.delay_s)
        await _cut(send, reset=fault.kind is FaultKind.RESET_AFTER)


def _status_refusal(fault: Fault) -> Refusal:
    name = {429: "quota-exceeded", 503: "temporary-reduced-capacity"}.get(fault.status, "internal")
    wait = fault.retry_after_s
    return Refusal(fault.status, name, headers={} if wait is None else {"Retry-After": str(wait)})


async def _drain(receive: Receive) -> None:
    while (message := await receive()).get("more_body") and message["type"] == "http.request":
        pass


async def _cut(send: Send, *, reset: bool) -> None:
    """Close the connection under the answer: with a reset, or after what was already sent."""
    # uvicorn's own object behind ``send`` is the only way to its transport.
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    assert isinstance(transport, asyncio.Transport)
    if reset:
        connection = transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            # Linger on, zero seconds: the system answers with RST instead of FIN.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
    await asyncio.sleep(0.01)  # let uvicorn notice that the connection is gone


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket. Named TCP, or asyncio leaves Nagle's algorithm on: 40 ms per answer."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
    except OSError:
        listening.close()
        raise
    return listening


class _Uvicorn(uvicorn.Server):
    """Ends long answers (event streams, long polls) before it waits for connections."""

    def __init__(self, config: uvicorn.Config, core: Core, started: threading.Event) -> None:
        super().__init__(config)
        self._core = core
        self._started_event = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._started_event.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._core.wakeups.close()
        await super().shutdown(sockets)


class CrmServer:
    """A reference CRM on a port of this computer.

    ``with CrmServer(path) as server:`` runs it in a thread (``port=0`` takes a free one);
    ``serve_forever`` runs it here until interrupted. Raises StoreBusy, OSError, ValueError.
    """

    def __init__(
        self,
        db: Path,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        settings: CrmSettings | None = None,
    ) -> None:
        self.db = db
        self.faults = Faults()
        self._socket = _listen(host, port)
        self.port = int(self._socket.getsockname()[1])
        shown = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - compared
        self.url = f"http://{f'[{shown}]' if ':' in shown else shown}:{self.port}"
        wanted = settings or CrmSettings()
        self.settings = msgspec.structs.replace(wanted, issuer=wanted.issuer or self.url)
        try:
            self.core = Core(db, self.settings, self.faults)
        except BaseException:
            self._socket.close()
            raise
        prepare_structs()
        self._started = threading.Event()
        config = uvicorn.Config(
            build_app(self.core),
            log_config=None,
            access_log=False,
            lifespan="on",
            timeout_graceful_shutdown=2,
            server_header=False,
            proxy_headers=False,
        )
        self._server = _Uvicorn(config, self.core, self._started)
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="crm-server", daemon=True
        )
        self._thread.start()
        if not self._started.wait(_START_TIMEOUT_S):
            raise RuntimeError("the reference CRM did not start")

    def stop(self) -> None:
        """Finish running requests, close the port and the store."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(_STOP_TIMEOUT_S)
            self._thread = None
        self._socket.close()
        self.core.close()

    def serve_forever(self) -> None:
        """Serve in this thread until SIGINT or SIGTERM."""
        try:
            self._server.run([self._socket])
        finally:
            self._socket.close()
            self.core.close()

    # --- from outside the server's thread -------------------------------------------------------

    def new_code(self) -> str:
        """A one-time pairing code."""
        with contextlib.closing(connect(self.db)) as store:
            return accounts.issue_code(store)

    def revoke(self, client_id: str) -> bool:
        """Withdraw a pairing."""
        with contextlib.closing(connect(self.db)) as store:
            return accounts.revoke_agent(store, client_id)

    def send_command(
        self, kind: str, payload: dict[str, Any], *, is_checked: bool = False, **more: Any
    ) -> str:
        """Queue a command and wake waiting agents; returns its id. ``more``: of ``orders.Order``.

        Unchecked unless asked: whatever the practice's agent can do, and whoever has that place.
        """
        with contextlib.closing(connect(self.db)) as store:
            command_id = orders.enqueue(store, kind, payload, is_checked=is_checked, **more)
        self.core.wakeups.ring_from_outside("commands", "orders")
        return command_id

    def add_contact(self, said: people.Said, cloud_id: str = "") -> people.Person:
        """Give the CRM a person of its own and tell agents."""
        with contextlib.closing(connect(self.db)) as store:
            made = people.add(store, said, cloud_id)
        self.core.wakeups.ring_from_outside("contacts")
        return made

    def set_switches(self, **said: Any) -> switches.Switches:
        """Turn the CRM's side of the safety switches; see ``switches.Change``."""
        with contextlib.closing(connect(self.db)) as store:
            now = switches.change(store, switches.Change(**said))
        self.core.wakeups.ring_from_outside("config", "switches")
        return now

    def add_key(self) -> str:
        """Begin a change of the key that signs commands; returns the new one's kid."""
        return self._change_keys(envelopes.add_envelope_key)

    def retire_key(self, kid: str) -> None:
        """End a change of keys: this one signs no more."""
        self._change_keys(lambda store: envelopes.retire_envelope_key(store, kid))

    def _change_keys(self, change: Callable[[apsw.Connection], T]) -> T:
        with contextlib.closing(connect(self.db)) as store:
            changed = change(store)
        # ``Core.watch`` would read them a moment later; whoever asked wants them now.
        self.core.wakeups.on_loop(self.core.sealer.reload)
        self.core.wakeups.ring_from_outside("config")
        return changed

    def change_own(self, type_name: str, key: str, content: dict[str, Any] | None) -> None:
        """Record a change the CRM owns and wake waiting agents."""
        with contextlib.closing(connect(self.db)) as store:
            commands.own_change(store, type_name, key, content)
        self.core.wakeups.ring_from_outside("changes")
