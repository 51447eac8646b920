"""Very many people in little memory: a few hundred bytes each, where objects take two thousand.

A person is kept packed and made anew each time somebody asks; what may make two people one is kept
as sorted numbers. Pure; not thread-safe. Imports only ``agent.sync.likeness``.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from heapq import merge

import msgspec

from agent.sync.likeness import Person, fold

_LOOSE = 8192  # entries not sorted in yet
_MASK = 0xFFFF_FFFF

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(
    tuple[str, str, str, str, str, tuple[str, ...], tuple[str, ...], str | None, str | None, bool]
).decode


class Crowd(Mapping[str, Person]):
    """Key -> person, and who shares a mark (a birth date, a phone, a name) with somebody."""

    def __init__(self) -> None:
        self._place_of: dict[str, int] = {}
        self._packed: list[bytes | None] = []  # a place is never used again
        self._sorted: array[int] = array("Q")  # mark in the upper half, place in the lower
        self._loose: dict[int, list[int]] = {}
        self._loose_count = 0

    def add(self, person: Person, marks: Iterator[object]) -> None:
        """``marks``: whatever one must share to be worth comparing. ValueError: known already."""
        if person.key in self._place_of:
            raise ValueError("already in the index")
        place = self._place_of[person.key] = len(self._packed)
        p = person
        self._packed.append(
            _pack((p.key, p.last_name, p.first_name, p.middle_name, p.birthdate, p.phones,
                   p.emails, p.reference, p.merged_into, p.is_deleted))
        )  # fmt: skip
        for mark in marks:
            self._loose.setdefault(hash(mark) & _MASK, []).append(place)
            self._loose_count += 1
        if self._loose_count > max(_LOOSE, len(self._sorted) // 8):
            self._sort_in()

    def discard(self, key: str) -> None:
        place = self._place_of.pop(key, None)
        if place is not None:
            self._packed[place] = None

    def sharing(self, marks: Iterator[object]) -> set[str]:
        """Keys of all who share one, and of a few who do not (marks are kept as numbers)."""
        if self._loose_count > _LOOSE:
            self._sort_in()
        places: set[int] = set()
        for mark in marks:
            number = hash(mark) & _MASK
            places.update(self._loose.get(number, ()))
            at = bisect_left(self._sorted, number << 32)
            while at < len(self._sorted) and self._sorted[at] >> 32 == number:
                places.add(self._sorted[at] & _MASK)
                at += 1
        return {_unpack(packed)[0] for place in places if (packed := self._packed[place])}

    def _sort_in(self) -> None:
        loose = sorted(n << 32 | place for n, places in self._loose.items() for place in places)
        packed = self._packed
        self._sorted = array(
            "Q", (e for e in merge(self._sorted, loose) if packed[e & _MASK] is not None)
        )
        self._loose.clear()
        self._loose_count = 0

    def __getitem__(self, key: str) -> Person:
        packed = self._packed[self._place_of[key]]
        assert packed is not None
        key, last, first, middle, born, phones, emails, ref, into, deleted = _unpack(packed)
        return Person(
            key, last, first, middle, born, phones, emails, fold(last), fold(first), ref, into,
            deleted,
        )  # fmt: skip

    def __contains__(self, key: object) -> bool:
        return key in self._place_of

    def __iter__(self) -> Iterator[str]:
        return iter(self._place_of)

    def __len__(self) -> int:
        return len(self._place_of)
