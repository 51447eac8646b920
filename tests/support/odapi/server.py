"""The stand-in as a running server: ASGI application, connections to the office, faults, a record.

``StandIn`` starts uvicorn in a thread of this process. Requests run side by side, each on its own
connection to the office's database, without any lock between them.
"""

from __future__ import annotations

import asyncio
import json
import queue
import socket
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec
import pymysql
import uvicorn
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from agent.sandbox.practice.desk import MariaDesk, SqliteDesk
from tests.support.odapi import (
    appointments,
    clinical,
    commlogs,
    documents,
    fields,
    lists,
    patients,
    recalls,
    visits,
)
from tests.support.odapi.call import METHODS, Answer, Call, Method, Refusal
from tests.support.odapi.faults import Fault, Faults, Rule
from tests.support.odapi.gates import (
    MAX_BODY_CHARS,
    MODES,
    PERMISSIONS,
    Mode,
    Permission,
    Tier,
    has_version,
    page_limit,
    throttle_s,
)
from tests.support.odapi.office import Office, Signer, missing_tables

BASE = "/api/v1/"
LOADED = (
    appointments, clinical, commlogs, documents, fields, lists, patients, recalls, visits,
)  # fmt: skip  # importing them filled METHODS

# Resources the vendor has and the stand-in does not: 501, so that nobody takes it for a typo.
NOT_BUILT = frozenset({
    "accountmodules", "adjustments", "allergies", "allergydefs", "asapcomms", "autonotecontrols",
    "autonotes", "benefits", "carriers", "chartmodules", "claimpayments", "claimprocs", "claims",
    "claimtrackings", "clockevents", "codegroups", "computers", "covcats", "covspans",
    "discountplans", "discountplansubs", "diseases", "diseasedefs", "ehrpatients", "employees",
    "employers", "eobattaches", "etrans", "familymodules", "fees", "feescheds", "insplans",
    "inssubs", "insverifies", "labcases", "laboratories", "labturnarounds", "medications",
    "medicationpats", "patientnotes", "patientraces", "patplans", "payments", "payplancharges",
    "payplans", "paysplits", "pharmacies", "popups", "proctps", "queries", "quickpastecats",
    "quickpastenotes", "refattaches", "referrals", "reports", "rxpats", "securityperms",
    "sheetdefs", "sheets", "statements", "subscriptions", "substitutionlinks", "tasklists",
    "tasknotes", "tasks", "toothinitials", "treatplanattaches", "treatplans", "usergroupattaches",
    "usergroups", "userods",
})  # fmt: skip


class Database(msgspec.Struct, frozen=True):
    """Where the office is: a MariaDB/MySQL server, or the sample practice's SQLite ``file``.

    ``zone``: the office's IANA zone; None takes the server's own clock (needed for a file).
    """

    host: str = "127.0.0.1"
    port: int = 3306
    user: str = "root"
    password: str = ""
    database: str = "opendental"
    file: Path | None = None
    zone: str | None = None

    def open(self, signer: Signer) -> Office:
        zone = self.zone or ("America/New_York" if self.file else None)
        if self.file is not None:
            return Office(SqliteDesk(self.file, zone or "UTC"), zone, signer)
        link = pymysql.connect(
            host=self.host, port=self.port, user=self.user, password=self.password,
            database=self.database, charset="utf8mb4", autocommit=True,
        )  # fmt: skip
        return Office(MariaDesk(link, zone or "UTC"), zone, signer)


class Seen(NamedTuple):
    """One request as the stand-in saw it. ``ignored``: body fields nobody read."""

    verb: str
    path: str
    status: int  # 0: the connection was cut
    took_s: float
    ignored: tuple[str, ...]


class _Request(NamedTuple):
    verb: str
    path: str
    headers: dict[str, str]
    query: dict[str, str]
    body: bytes


class StandIn:
    """``with StandIn(Database(port=...)) as api:`` serves ``api.url`` until the block ends.

    ``version``, ``tier`` and ``mode`` may be changed while it runs (they are read per request).
    ``stop()`` and ``start()`` take the service down and up again on the same port.
    """

    def __init__(
        self,
        database: Database,
        *,
        port: int = 0,
        version: str = "24.4.5",
        tier: Tier = Tier.FULL,
        mode: Mode = Mode.SERVICE,
        developer_key: str = "dev-key",
        customer_key: str = "customer-key",
        permissions: Iterable[Permission] | None = None,
        throttle: float | None = None,
        limit_s: float = 60.0,
    ) -> None:
        self.database = database
        self.port = port or _free_port()
        self.version = version
        self.tier = tier
        self.mode = mode
        self.developer_key = developer_key
        self.customer_key = customer_key
        self.permissions = None if permissions is None else frozenset(permissions)
        self.throttle = throttle
        self.limit_s = limit_s
        self.faults = Faults()
        self.seen: deque[Seen] = deque(maxlen=20_000)
        self.crashes: deque[str] = deque(maxlen=100)  # tracebacks of the stand-in's own faults
        self._idle: queue.LifoQueue[Office] = queue.LifoQueue()
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._turn = asyncio.Lock()
        self._free_at = 0.0
        self._at_work = 0
        self._quiet = threading.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v1"

    @property
    def authorization(self) -> str:
        """The value of the Authorization header that is let in."""
        return f"ODFHIR {self.developer_key}/{self.customer_key}"

    @property
    def granted(self) -> frozenset[Permission]:
        return PERMISSIONS[self.tier] if self.permissions is None else self.permissions

    def ignored(self) -> set[str]:
        """Every body field that was sent and not read, as "VERB path field"."""
        return {f"{s.verb} {s.path} {name}" for s in self.seen for name in s.ignored}

    # --- running ------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        with self._office() as office:
            absent = missing_tables(office)
        if absent:
            raise RuntimeError(
                f"the office lacks {', '.join(absent)}: load tests.support.odapi.TABLES"
            )
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        while not self._idle.empty():
            self._idle.get_nowait().close()

    def start(self) -> None:
        """Listen on the port; returns when requests are answered."""
        self._turn = asyncio.Lock()
        self._server = uvicorn.Server(
            uvicorn.Config(
                self, host="127.0.0.1", port=self.port, log_level="critical", lifespan="off",
                access_log=False, timeout_graceful_shutdown=1,
            )
        )  # fmt: skip
        self._thread = threading.Thread(target=self._server.run, name="odapi", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 10
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise RuntimeError(f"the stand-in did not start on port {self.port}")
            time.sleep(0.005)

    def stop(self) -> None:
        """Close the port and every connection, as when the service is stopped."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join(10)
        self._server = self._thread = None

    def wait_quiet(self, timeout_s: float = 10.0) -> None:
        """Until no method is at work any more, also of requests long answered 504 or cut."""
        with self._quiet:
            if not self._quiet.wait_for(lambda: self._at_work == 0, timeout_s):
                raise TimeoutError(f"{self._at_work} still at work")

    # --- one request --------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = time.monotonic()
        request = Request(scope, receive)
        body = await request.body()
        asked = _Request(
            request.method, str(scope["path"]), dict(request.headers),
            dict(request.query_params), body,
        )  # fmt: skip
        if not asked.path.startswith(BASE):
            await _reply(await self._steer(asked))(scope, receive, send)
            return
        path = asked.path.removeprefix(BASE).strip("/")
        rule = self.faults.strike(asked.verb, path)
        call_ignored: list[str] = []
        response = await self._under(rule, asked, path, call_ignored)
        status = 0 if response is None else response.status_code
        self.seen.append(
            Seen(asked.verb, path, status, time.monotonic() - begun, tuple(call_ignored))
        )
        if response is None:
            await _cut(send)
            return
        await response(scope, receive, send)

    async def _under(
        self, rule: Rule | None, asked: _Request, path: str, ignored: list[str]
    ) -> Response | None:
        """The answer under a fault; None means the connection is cut."""
        fault = None if rule is None else rule.fault
        if rule is not None and rule.delay_s:
            await asyncio.sleep(rule.delay_s)
        if fault is Fault.BUSY:
            return _reply(Answer(503, "Service unavailable"))
        if fault is Fault.THROTTLED:
            return _reply(Answer(429, "Too many requests"))
        if fault is Fault.CUT_BEFORE:
            return None
        await self._wait_turn()
        work = asyncio.ensure_future(run_in_threadpool(self._answer, asked, path, ignored))
        try:
            answer = await asyncio.wait_for(asyncio.shield(work), self.limit_s)
        except TimeoutError:
            answer = Answer(504, "Request did not complete within the time limit")
        if fault is Fault.CUT:
            return None
        if fault is Fault.TIMEOUT:
            return _reply(Answer(504, "Request did not complete within the time limit"))
        if fault is Fault.LOST:
            return _reply(Answer(400, "Lost the connection to the dental office"))
        location = f"{self.url}/{answer.location}" if answer.location else ""
        return _reply(answer, location)

    async def _wait_turn(self) -> None:
        """Remote mode lets one request of a customer through per interval; others wait."""
        every = self.throttle
        if every is None:
            every = throttle_s(self.mode, self.granted)
        if not every or not MODES[self.mode].is_throttled:
            return
        async with self._turn:
            wait = self._free_at - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            self._free_at = time.monotonic() + every

    def _answer(self, asked: _Request, path: str, ignored: list[str]) -> Answer:
        """Gates, then the method. In a worker thread."""
        with self._quiet:
            self._at_work += 1
        try:
            return self._carry_out(asked, path, ignored)
        finally:
            with self._quiet:
                self._at_work -= 1
                self._quiet.notify_all()

    def _carry_out(self, asked: _Request, path: str, ignored: list[str]) -> Answer:
        try:
            found, key = self._gate(asked, path)
            with self._office() as office:
                call = Call(
                    office=office, version=self.version, mode=self.mode, query=asked.query,
                    body=_body(asked), key=key, limit=self._limit(asked),
                    offset=_count(asked.query, "Offset", 0),
                )  # fmt: skip
                try:
                    return found.act(call)
                finally:
                    call.close()
                    ignored += call.ignored
        except Refusal as refusal:
            return Answer(refusal.status, refusal.text)
        except pymysql.err.MySQLError as error:
            # What the service answers without its database is not documented.
            code = 400 if self.mode is Mode.REMOTE else 500
            return Answer(code, f"Database error {error.args[0] if error.args else ''}")
        except Exception:
            self.crashes.append(traceback.format_exc())
            return Answer(500, "The stand-in itself failed")

    def _gate(self, asked: _Request, path: str) -> tuple[Method, int]:
        if asked.headers.get("authorization", "") != self.authorization:
            raise Refusal(401, "Invalid credentials")
        kind = asked.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind != "application/json":
            raise Refusal(400, "Content-Type must be application/json")
        found, key = _method_of(asked.verb, path.split("/"))
        if found.gone_since and has_version(self.version, found.gone_since):
            raise Refusal(410, "This resource is deprecated")
        if not has_version(self.version, MODES[self.mode].since) or not has_version(
            self.version, found.since
        ):
            raise Refusal(400, f"Requires version {found.since}, office has {self.version}")
        if found.permission not in self.granted:
            raise Refusal(401, f"Developer key lacks permission {found.permission}")
        return found, key

    def _limit(self, asked: _Request) -> int:
        hard = page_limit(self.mode, self.granted)
        return min(_count(asked.query, "Limit", hard) or hard, hard)

    async def _steer(self, asked: _Request) -> Answer:
        """``POST /standin/faults`` and ``DELETE``: the switches for a caller in another process."""
        if asked.path != "/standin/faults":
            return Answer(404, "not a path of the stand-in")
        if asked.verb == "DELETE":
            self.faults.clear()
        elif asked.verb == "POST":
            wanted = json.loads(asked.body)
            self.faults.arm(Fault(wanted.pop("fault")), **wanted)
        return Answer(200, {fault.value: count for fault, count in self.faults.struck.items()})

    # --- connections --------------------------------------------------------------------------

    def _office(self) -> _Borrowed:
        return _Borrowed(self)

    def borrow(self) -> Office:
        """A connection that works now: one whose server went away is replaced."""
        while True:
            try:
                office = self._idle.get_nowait()
            except queue.Empty:
                rules = MODES[self.mode]
                return self.database.open(Signer(rules.user, rules.source))
            try:
                office.desk.rows("SELECT 1")
            except pymysql.err.MySQLError:
                continue
            return office

    def give_back(self, office: Office, *, broken: bool) -> None:
        # SQLite wants each connection used by the thread that made it: none is kept.
        if broken or self.database.file is not None:
            office.close()
        else:
            self._idle.put(office)


class _Borrowed:
    """A connection for one request; thrown away when the database broke under it."""

    def __init__(self, owner: StandIn) -> None:
        self._owner = owner
        self._office: Office | None = None

    def __enter__(self) -> Office:
        self._office = self._owner.borrow()
        rules = MODES[self._owner.mode]
        self._office.signer = Signer(rules.user, rules.source)
        return self._office

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        assert self._office is not None
        broken = kind is not None and not issubclass(kind, Refusal)
        self._owner.give_back(self._office, broken=broken)


def _method_of(verb: str, segments: list[str]) -> tuple[Method, int]:
    others = False
    for found in sorted(METHODS, key=lambda m: "{n}" in m.path):
        key = found.key_in(segments)
        if key is None:
            continue
        if found.verb == verb:
            return found, key
        others = True
    if others or segments[0].lower() in NOT_BUILT:
        raise Refusal(501, f"The stand-in has no {verb} {segments[0]} of that form")
    raise Refusal(404, "The API resource does not exist")


def _body(asked: _Request) -> dict[str, Any]:
    if asked.verb not in {"POST", "PUT"}:
        return {}
    if len(asked.body) > MAX_BODY_CHARS and len(asked.body.decode("utf-8", "replace")) > (
        MAX_BODY_CHARS
    ):
        raise Refusal(400, "The body is too long")
    try:
        read = json.loads(asked.body or b"{}")
    except ValueError:
        raise Refusal(400, "The body is not valid JSON") from None
    if not isinstance(read, dict):
        raise Refusal(400, "The body must be a JSON object")
    return read


def _count(query: dict[str, str], name: str, default: int) -> int:
    value = query.get(name, "")
    if value and not value.isdigit():
        raise Refusal(400, f"{name} must be a number")
    return int(value) if value else default


def _reply(answer: Answer, location: str = "") -> Response:
    headers = {"location": location} if location else {}
    if answer.content is None:
        return Response(status_code=answer.status, headers=headers)
    content = json.dumps(answer.content, ensure_ascii=False).encode()
    return Response(content, answer.status, headers, media_type="application/json")


async def _cut(send: Send) -> None:
    """Drop the connection without a byte of answer: uvicorn's own transport, aborted."""
    transport = send.__self__.transport  # type: ignore[attr-defined]
    transport.abort()
    await asyncio.sleep(0.01)  # let uvicorn learn of it before the application returns


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
