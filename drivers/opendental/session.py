"""One read-only connection to MariaDB or MySQL, called synchronously. The only import of asyncmy.

asyncmy reads text as fast as the C client (measured: ``tests/drivers/bench_read.py``), but only
inside an event loop, so each session owns a private loop and runs it for one statement at a time.
No cell is converted: text leaves as the bytes the server stores, decoded once in C.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncmy
import asyncmy.errors
import msgspec
import structlog

from agent.errors import PmsError, PmsUnavailable
from drivers.base import Effort, Row, RowTrouble, UndecodableText
from drivers.opendental.faults import MISSING_SETTING, SYNTAX, consequence

log = structlog.get_logger(__name__)

CONNECT_TIMEOUT_S = 5.0
GRACE_S = 3.0  # beyond the server's own limit, before we hang up
PROBE_LIMIT_MS = 30_000
DIGEST_HEADROOM = 2
MIN_KILL_MS = 500
KILL_FACTOR = 5  # the engine aims at the limit; the server cuts what goes far beyond it
_NEWDECIMAL = 246
_LOST = 2013


class Login(msgspec.Struct, frozen=True):
    """Where the database is and who we are there. ``str`` and logs never show the password."""

    host: str = "127.0.0.1"
    port: int = 3306
    database: str = "opendental"
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"Login({self.host}:{self.port}/{self.database} as {self.user})"


class Server(msgspec.Struct, frozen=True):
    """What the server says about itself at connect."""

    version: str = ""
    flavour: str = ""  # "MariaDB" | "MySQL"
    place: str = ""  # uuid where the server has one, else host name, port and data directory
    limits_statements: bool = False
    read_only: bool = False


class MySqlSession:
    """See ``drivers.base.Session``. Not thread-safe; reconnects on the next call after a loss.

    ``mends``: for opening tables a killed server left open. The server mends those when somebody
    opens them, but never in a read-only transaction (MariaDB 10.11, measured), and a statement
    limit would cut it short. It still only selects.
    """

    def __init__(self, login: Login, statement_limit_ms: int, *, mends: bool = False) -> None:
        self.server = Server()
        self._mends = mends
        self._login = login
        self._kill_ms = max(statement_limit_ms * KILL_FACTOR, MIN_KILL_MS)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._link: Any = None
        self._raw = False

    @property
    def place(self) -> str:
        return self.server.place

    def rows(self, sql: str, effort: Effort = Effort.PAGE) -> Sequence[Row]:
        return self._run(sql, effort, raw=False)

    def raw_rows(self, sql: str, effort: Effort = Effort.PAGE) -> Sequence[Row]:
        try:
            return self._run(sql, effort, raw=True)
        finally:
            self._drop()

    def close(self) -> None:
        self._closed = True
        loop, self._loop = self._loop, None
        link, self._link = self._link, None
        if loop is not None:
            if link is not None:
                loop.run_until_complete(self._say_goodbye(link))
            loop.close()

    def _run(self, sql: str, effort: Effort, *, raw: bool) -> Sequence[Row]:
        if self._closed:
            raise PmsUnavailable("pms.reader_closed")
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        try:
            return self._loop.run_until_complete(self._ask(sql, effort, raw=raw))
        except UnicodeDecodeError:
            # The rest of the result is still on the wire: this connection is of no more use.
            self._drop()
            raise UndecodableText from None
        except asyncmy.errors.Error as error:
            raise self._translated(error) from None
        except (TimeoutError, OSError, EOFError) as error:
            self._drop()
            raise PmsUnavailable(host=self._login.host, cause=type(error).__name__) from None

    def _translated(self, error: Exception) -> PmsError | RowTrouble:
        number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        found = consequence(number, self._login.host)
        if (
            number < 1000
            or 2000 <= number < 3000
            or isinstance(found, RowTrouble)
            or (isinstance(found, PmsUnavailable) and found.code == PmsUnavailable.code)
        ):
            self._drop()
        return found

    def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None and self._loop is not None:
            link.close()
            # Let the transport close its socket now, not at some later collection.
            self._loop.run_until_complete(asyncio.sleep(0))

    async def _say_goodbye(self, link: Any) -> None:
        try:
            async with asyncio.timeout(1.0):
                await link.ensure_closed()
        except (asyncmy.errors.Error, OSError, TimeoutError):
            link.close()

    async def _ask(self, sql: str, effort: Effort, *, raw: bool) -> Sequence[Row]:
        if self._link is not None and self._raw is not raw:
            self._link.close()
            self._link = None
        if self._link is None:
            await self._connect(raw=raw)
        limit_ms = self._limit_ms(effort)
        async with asyncio.timeout(limit_ms / 1000 + GRACE_S):
            cursor = self._link.cursor()
            await cursor.execute(self._limited(sql, effort, limit_ms))
            found: Sequence[Row] = await cursor.fetchall()
            return found

    def _limit_ms(self, effort: Effort) -> int:
        if effort is Effort.PROBE:
            return PROBE_LIMIT_MS
        return self._kill_ms * (DIGEST_HEADROOM if effort is Effort.DIGEST else 1)

    def _limited(self, sql: str, effort: Effort, limit_ms: int) -> str:
        """The session's own limit is for pages; other efforts say theirs with the statement."""
        if effort is Effort.PAGE or self._mends or not self.server.limits_statements:
            return sql
        if self.server.flavour == "MariaDB":
            return f"SET STATEMENT max_statement_time={limit_ms / 1000:g} FOR {sql}"
        return sql.replace("SELECT", f"SELECT /*+ MAX_EXECUTION_TIME({limit_ms}) */", 1)

    async def _connect(self, *, raw: bool) -> None:
        login = self._login
        async with asyncio.timeout(CONNECT_TIMEOUT_S + GRACE_S):
            link = await asyncmy.connect(
                host=login.host,
                port=login.port,
                user=login.user,
                password=login.password,
                database=login.database or None,
                charset="utf8mb4",
                use_unicode=not raw,
                conv={_NEWDECIMAL: int},
                autocommit=True,
                connect_timeout=CONNECT_TIMEOUT_S,
                program_name="bridgework",
            )
        try:
            self.server = await self._prepare(link)
        except BaseException:
            link.close()
            raise
        self._link, self._raw = link, raw

    async def _prepare(self, link: Any) -> Server:
        """Session settings only, never GLOBAL; what an old server does not know is left out."""
        cursor = link.cursor()
        await cursor.execute(
            "SET SESSION time_zone='+00:00', sql_mode='', lock_wait_timeout=2,"
            " group_concat_max_len=16777216, character_set_results=NULL"
        )
        await cursor.execute("SELECT VERSION(),@@hostname,@@port,@@datadir")
        said = [_text(v) for v in (await cursor.fetchall())[0]]
        maria = "mariadb" in said[0].lower()
        place = "/".join(said[1:])
        if not maria and (uuid := await _setting(cursor, "server_uuid")):
            place = uuid
        seconds = f"{self._kill_ms / 1000:g}"
        limit = f"max_statement_time={seconds}" if maria else f"max_execution_time={self._kill_ms}"
        limited = not self._mends and await _may_set(cursor, limit)
        # skip-innodb servers and servers without the cache do not know these two.
        await _may_set(cursor, "innodb_lock_wait_timeout=1")
        if not maria:
            await _may_set(cursor, "information_schema_stats_expiry=0")
        read_only = not self._mends and await _may_set(cursor, "TRANSACTION READ ONLY")
        return Server(
            version=said[0],
            flavour="MariaDB" if maria else "MySQL",
            place=place,
            limits_statements=limited,
            read_only=read_only,
        )


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


async def _may_set(cursor: Any, assignment: str) -> bool:
    """Set one session setting if the server has it."""
    try:
        await cursor.execute(f"SET SESSION {assignment}")
    except asyncmy.errors.Error as error:
        if error.args and error.args[0] in (MISSING_SETTING, SYNTAX):
            return False
        raise
    return True


async def _setting(cursor: Any, name: str) -> str:
    try:
        await cursor.execute(f"SELECT @@{name}")
    except asyncmy.errors.Error:
        return ""
    return _text((await cursor.fetchall())[0][0])
