"""What every canonical record has in common. A leaf of ``agent.model``.

Conventions of all records (``ARCHITECTURE.md``, "Canonical records"):

- ``key`` and every ``*_key`` is the text of a PMS primary key; no reference is null (omitted).
- money: decimal text with two digits ("120.50"), signed as the PMS signs it; never a float.
- dates: "YYYY-MM-DD" in the practice's calendar. Instants: "YYYY-MM-DDTHH:MM:SSZ" in UTC; records
  with instants name the practice's zone (IANA) in ``zone``. ``*_local``: the wall time as stored.
- a local time that does not exist (spring) is moved forward by the gap; one that exists twice
  (autumn) means its first occurrence. The wall time stays readable in ``start_local`` where it
  matters.
- phones: E.164. ``*_raw`` holds the text as typed when E.164 would lose something or does not
  exist. Enumerations: ``*_raw`` holds the site's own value when the word is "unknown".
- ``extra``: columns of the site that the data map does not know, by column name, as text.
- null, empty text and "no date" are omitted; false and zero are not.

Fields are positional in the order written: the data map builds a page of records with one
``map(RecordType, *columns)``. Records are acyclic, so they stay out of the garbage collector.
"""

from __future__ import annotations

import msgspec


class Record(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One record of one stream, flat but for its own parts (lines, splits, measures)."""

    key: str


class Part(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A piece of a record that has no life of its own in the CRM."""
