"""One connection over ODBC as the drivers use it: ``drivers.base.Session`` over a child process.

A door stands before every connection of a source: logins go through it one at a time, and once one
was refused it stays shut, for a lock-out would hurt the office more than our silence.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence

import msgspec
import structlog

from agent.errors import PmsBusy, PmsError, PmsRefused, PmsSetup, PmsUnavailable
from agent.model.reading import Digest
from drivers.base import Effort, Row, RowTrouble
from drivers.odbc import wire
from drivers.odbc.faults import Fault, classify, error_of
from drivers.odbc.login import OdbcLogin
from drivers.odbc.process import Child, ChildDied, ChildOverdue
from drivers.odbc.spelling import RowLimit, limit_in, spelled

log = structlog.get_logger(__name__)

START_S = 15.0  # for Python and the driver to load, beside the login itself
FIRST_REST_S = 0.5
LONGEST_REST_S = 30.0
STEADY_DEATHS = 3  # children that die before they are connected, without a rest between


class ReaderDied(PmsUnavailable):
    """The child died under a statement: the driver crashed, or somebody killed it; ``ended`` among
    the facts is its exit code. A server that ends can be the cause: psqlodbc faults in SQLFetch in
    about one of eight such ends (measured)."""

    code = "pms.reader_died"


class ReaderOverdue(PmsBusy):
    """The statement was not answered in time; the child was killed."""

    code = "pms.no_answer"


class Limits(msgspec.Struct, frozen=True):
    """Seconds a statement may take before the child is killed. The driver is asked to give up
    ``grace_s`` earlier, if it can."""

    page_s: float = 8.0
    digest_s: float = 20.0
    probe_s: float = 60.0
    grace_s: float = 3.0

    def of(self, effort: Effort) -> float:
        return {Effort.PAGE: self.page_s, Effort.DIGEST: self.digest_s}.get(effort, self.probe_s)


class Door:
    """Who may knock, and how often. One per source, shared by its connections and threads."""

    def __init__(
        self,
        login: OdbcLogin,
        *,
        isolation: int = 0,
        settings: Sequence[tuple[str, bool, str]] = (),
        limits: Limits | None = None,
        reads_only: bool = True,
    ) -> None:
        self.login = login
        self._reads_only = reads_only
        self.limits = limits or Limits()
        self.row_limit = RowLimit.TOP
        self._isolation = isolation
        self._settings = tuple(settings)
        self._lock = threading.Lock()
        self._refused: PmsRefused | None = None
        self._deaths = 0
        self._next_mono = 0.0

    @property
    def where(self) -> str:
        """The place, safe to show."""
        return self.login.dsn or self.login.host

    def enter(self) -> tuple[Child, wire.Opened]:
        """A new connection. Raises the Pms errors; after a refusal always that one, untried."""
        with self._lock:
            if self._refused is not None:
                raise PmsRefused(self._refused.code, **self._refused.facts)
            rest_s = self._next_mono - time.monotonic()
            if rest_s > 0:
                raise PmsUnavailable("pms.reader_resting", wait_s=round(rest_s, 1))
            return self._enter()

    def _enter(self) -> tuple[Child, wire.Opened]:
        try:
            child = Child(self.login.reader)
        except OSError:
            raise PmsSetup("pms.reader_missing") from None
        asked = wire.Open(
            connection=self.login.text(),
            login_timeout_s=max(1, math.ceil(self.login.login_timeout_s)),
            encoding=self.login.encoding,
            isolation=self._isolation,
            settings=self._settings,
            reads_only=self._reads_only,
        )
        try:
            reply = child.ask(asked, START_S + self.login.login_timeout_s)
        except ChildOverdue:
            raise PmsUnavailable("pms.no_answer", host=self.where) from None
        except ChildDied as death:
            self._deaths += 1
            if self._deaths >= STEADY_DEATHS:
                rest_s = FIRST_REST_S * 2 ** (self._deaths - STEADY_DEATHS)
                self._next_mono = time.monotonic() + min(rest_s, LONGEST_REST_S)
            raise ReaderDied(host=self.where, ended=death.ended) from None
        self._deaths = 0
        if isinstance(reply, wire.Opened):
            if reply.protocol != wire.PROTOCOL:
                child.kill()
                raise PmsSetup("pms.reader_version", reader=reply.protocol, agent=wire.PROTOCOL)
            return child, msgspec.structs.replace(reply, pid=child.pid)
        child.kill()
        assert isinstance(reply, wire.Failed)
        error = error_of(reply, self.where)
        if isinstance(error, PmsRefused) and classify(reply) is Fault.AUTH:
            self._refused = error
            log.warning("odbc.refused", code=error.code)
        raise error if isinstance(error, PmsError) else PmsUnavailable("pms.error")


class OdbcSession:
    """See ``drivers.base.Session``. One thread at a time; connects on first use and after a loss.

    Statements are in the portable subset with ``SELECT TOP n``; ``door.row_limit`` says how the
    server spells that.
    """

    def __init__(self, door: Door) -> None:
        self._door = door
        self._child: Child | None = None
        self._closed = False
        self.server = wire.Opened()

    @property
    def place(self) -> str:
        said = self.server
        return f"{said.dbms}/{said.server}/{said.database}"

    @property
    def where(self) -> str:
        return self._door.where

    @property
    def child_pid(self) -> int | None:
        return None if self._child is None else self._child.pid

    def connect(self) -> wire.Opened:
        """The server as it says itself. Raises the Pms errors."""
        self._opened()
        return self.server

    def rows(
        self, sql: str, effort: Effort = Effort.PAGE, params: Sequence[wire.Param] = ()
    ) -> list[Row]:
        """All rows: whole numbers as int, all else as text without its padding."""
        return self.query(sql, params, effort).rows

    def raw_rows(self, sql: str, effort: Effort = Effort.PAGE) -> list[Row]:
        raise RowTrouble("text.undecodable")  # a driver converts text itself: nothing raw to have

    def query(
        self,
        sql: str,
        params: Sequence[wire.Param] = (),
        effort: Effort = Effort.PAGE,
        *,
        limit: int = 0,
    ) -> wire.Rows:
        """The same with column names and types. ``limit``: fetch no more rows than these."""
        sql = self._spelled(sql)
        asked = wire.Query(sql, tuple(params), limit, self._timeout_s(effort))
        reply = self.ask(asked, effort)
        assert isinstance(reply, wire.Rows)
        return reply

    def catalogue(self, what: str, table: str = "", schema: str = "") -> wire.Rows:
        reply = self.ask(wire.Catalogue(what, table, schema), Effort.PROBE)
        assert isinstance(reply, wire.Rows)
        return reply

    def fetch(self, plan: wire.Fetch, effort: Effort = Effort.PAGE) -> wire.Records | wire.Sum:
        plan = msgspec.structs.replace(
            plan,
            sql=self._spelled(plan.sql),
            limit=limit_in(plan.sql),
            timeout_s=self._timeout_s(effort),
        )
        reply = self.ask(plan, effort)
        assert isinstance(reply, (wire.Records, wire.Sum))
        return reply

    def keys(self, asked: wire.Keys, effort: Effort = Effort.PAGE) -> wire.Found:
        asked = msgspec.structs.replace(
            asked,
            sql=self._spelled(asked.sql),
            limit=limit_in(asked.sql),
            timeout_s=self._timeout_s(effort),
        )
        reply = self.ask(asked, effort)
        assert isinstance(reply, wire.Found)
        return reply

    def key_sum(self, asked: wire.Keys) -> Digest:
        """Count, sum and xor of the keys (``drivers.base.digest_of_keys``)."""
        asked = msgspec.structs.replace(
            asked, digest=True, timeout_s=self._timeout_s(Effort.DIGEST)
        )
        reply = self.ask(asked, Effort.DIGEST)
        assert isinstance(reply, wire.Sum)
        return Digest(reply.count, reply.sum48, reply.xor64)

    def act(
        self,
        statements: Sequence[tuple[str, Sequence[wire.Param], int]],
        effort: Effort = Effort.PAGE,
    ) -> wire.Done | wire.Undone:
        """Write: all or none. ReaderDied, ReaderOverdue and PmsUnavailable leave it unknown whether
        it was done, unless nothing was sent: then the error came from ``connect``."""
        asked = wire.Act(
            tuple((sql, tuple(params), expected) for sql, params, expected in statements),
            self._timeout_s(effort),
        )
        reply = self.ask(asked, effort)
        assert isinstance(reply, (wire.Done, wire.Undone))
        return reply

    def ask(self, request: wire.Request, effort: Effort) -> wire.Reply:
        """Raises the Pms errors or RowTrouble. A lost connection is made anew on the next call."""
        child = self._opened()
        try:
            reply = child.ask(request, self._door.limits.of(effort))
        except ChildDied as death:
            self._child = None
            raise ReaderDied(host=self.where, ended=death.ended) from None
        except ChildOverdue:
            self._child = None
            raise ReaderOverdue(host=self.where) from None
        if not isinstance(reply, wire.Failed):
            return reply
        fault = classify(reply)
        log.info(
            "odbc.failed", fault=fault.value, phase=reply.phase, state=reply.state,
            native=reply.native, kind=reply.kind,
        )  # fmt: skip
        if fault in {Fault.LINK, Fault.UNKNOWN, Fault.EXCLUSIVE}:
            self._drop()
        raise error_of(reply, self.where)

    def close(self) -> None:
        self._closed = True
        self._drop()

    def _drop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()

    def _opened(self) -> Child:
        if self._closed:
            raise PmsUnavailable("pms.reader_closed")
        if self._child is None:
            self._child, self.server = self._door.enter()
        return self._child

    def _spelled(self, sql: str) -> str:
        return spelled(sql, self._door.row_limit)

    def _timeout_s(self, effort: Effort) -> int:
        limits = self._door.limits
        return max(1, math.ceil(limits.of(effort) - limits.grace_s))
