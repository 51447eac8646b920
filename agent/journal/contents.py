"""Canonical contents of the streams both sides may change: the bases of merges, sealed.

The first load keeps them by the page: a thousand contents packed and sealed at once are a tenth of
the bytes and of the time. What is seen later is kept by the record, and comes first when asked for.
Part of a turn; never commits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import apsw
import msgspec

from agent.journal.rows import Seen
from agent.journal.seal import Seal, content_context, page_context
from agent.journal.values import bound_keys, fetch
from agent.journal.writer import Writer
from agent.model.gzip1 import compress, decompress
from agent.model.reading import Key
from agent.model.streams import Stream

PAGE_FROM = 32  # fewer contents are not worth a page
_MOST_BYTES = 1 << 30
_PAGES = """
SELECT number, sealed FROM content_page WHERE stream = ? AND hi >= ? AND lo <= ?
ORDER BY number DESC
"""

_Page = list[tuple[Key, bytes]]
_pages = msgspec.msgpack.Decoder(_Page)


def content_of(
    db: apsw.Connection, seal: Seal, stream: Stream, number: int, key: Key
) -> bytes | None:
    """Canonical content last seen of a record; ``number`` is the stream's."""
    for (sealed,) in fetch(
        db, "SELECT canon FROM content WHERE stream = ? AND key = ?", (number, key)
    ):
        return seal.open(sealed, content_context(stream, key))
    for page, sealed in fetch(db, _PAGES, (number, key, key)):
        found = dict(_opened(seal, stream, page, sealed)).get(key)
        if found is not None:
            return found
    return None


def contents_of(
    db: apsw.Connection, seal: Seal, stream: Stream, number: int, keys: Sequence[Key]
) -> dict[Key, bytes]:
    """The same of many records at once: each page they are in is opened once."""
    if not keys:
        return {}
    found = {
        key: seal.open(sealed, content_context(stream, key))
        for key, sealed in fetch(
            db,
            "SELECT key, canon FROM content WHERE stream = ?"
            " AND key IN (SELECT value FROM carray(?))",
            (number, bound_keys(keys)),
        )
    }
    wanted = {key for key in keys if key not in found}
    for page, sealed in _pages_over(db, number, wanted):
        for key, canon in _opened(seal, stream, page, sealed):
            if key in wanted:
                found[key] = canon
                wanted.discard(key)
    return found


def _pages_over(
    db: apsw.Connection, number: int, wanted: Collection[Key]
) -> Iterable[tuple[int, bytes]]:
    """Pages that may hold one of these, the newest first; stops when none is wanted any more."""
    if not wanted:
        return
    spans: list[tuple[int, Key, Key]] = fetch(
        db,
        "SELECT number, lo, hi FROM content_page WHERE stream = ? AND hi >= ? AND lo <= ?"
        " ORDER BY number DESC",
        (number, min(wanted), max(wanted)),
    )
    for page, lo, hi in spans:
        if not wanted:
            return
        if any(lo <= key <= hi for key in wanted):  # type: ignore[operator]
            for (sealed,) in fetch(db, "SELECT sealed FROM content_page WHERE number = ?", (page,)):
                yield page, sealed


def _opened(seal: Seal, stream: Stream, page: int, sealed: bytes) -> _Page:
    return _pages.decode(decompress(seal.open(sealed, page_context(stream, page)), _MOST_BYTES))


class Contents(Writer):
    """The part of a turn that keeps and erases contents."""

    def _keep(self, stream: Stream, seen: Sequence[Seen], *, paged: bool) -> None:
        """Rows without a ``canon`` are of streams that keep none."""
        rows: _Page = [(row.key, row.canon) for row in seen if row.canon is not None]
        if paged and len(rows) >= PAGE_FROM:
            self._keep_page(stream, rows)
            return
        number, seal = self._streams[stream], self._seal.seal
        self._db.executemany(
            "INSERT INTO content(stream, key, canon) VALUES (?,?,?)"
            " ON CONFLICT(stream, key) DO UPDATE SET canon = excluded.canon",
            [(number, key, seal(canon, content_context(stream, key))) for key, canon in rows],
        )

    def _keep_page(self, stream: Stream, rows: _Page) -> None:
        number = self._streams[stream]
        keys = [key for key, _ in rows]
        self._db.execute(
            "INSERT INTO content_page(stream, lo, hi, sealed) VALUES (?,?,?,x'')",
            (number, keys[0], keys[-1]),
        )
        self._seal_page(stream, self._db.last_insert_rowid(), rows)
        # What an older single row holds would come first.
        self._drop_rows(number, keys)

    def _seal_page(self, stream: Stream, page: int, rows: _Page) -> None:
        packed = compress(msgspec.msgpack.encode(rows))
        self._db.execute(
            "UPDATE content_page SET sealed = ? WHERE number = ?",
            (self._seal.seal(packed, page_context(stream, page)), page),
        )

    def _drop_rows(self, number: int, keys: Sequence[Key]) -> None:
        self._db.execute(
            "DELETE FROM content WHERE stream = ? AND key IN (SELECT value FROM carray(?))",
            (number, bound_keys(keys)),
        )

    def _erase(self, stream: Stream, keys: Collection[Key]) -> None:
        """Nothing of these records' contents is kept; a page they are in is packed anew."""
        number, gone = self._streams[stream], frozenset(keys)
        self._drop_rows(number, list(gone))
        pages = {
            page: sealed
            for key in gone
            for page, sealed in fetch(self._db, _PAGES, (number, key, key))
        }
        for page, sealed in pages.items():
            rows = _opened(self._seal, stream, page, sealed)
            kept = [row for row in rows if row[0] not in gone]
            if not kept:
                self._db.execute("DELETE FROM content_page WHERE number = ?", (page,))
            elif len(kept) < len(rows):
                self._seal_page(stream, page, kept)
