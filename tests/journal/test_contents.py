"""Contents by the page: what a first load keeps comes back, is overridden, erased, and sealed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography.exceptions import InvalidTag

from agent.journal.journal import Journal
from agent.journal.rows import Seen
from agent.model.reading import Key
from agent.model.streams import Stream
from tests.journal.conftest import PATIENT, seen
from tests.support.clock import START

MANY = range(1, 201)


def canon(key: Key, version: int = 1) -> bytes:
    return b'{"key":"%d","note":"Ada %d"}' % (key, version)


def rows(*keys: int, version: int = 1) -> list[Seen]:
    return [seen(key, version, canon=canon(key, version)) for key in keys]


def load(journal: Journal, *keys: int, version: int = 1) -> None:
    with journal.turn() as turn:
        turn.see(PATIENT, rows(*keys, version=version), None, paged=True)


def pages(journal: Journal) -> int:
    return int(journal._one("SELECT count(*) FROM content_page"))


def singles(journal: Journal) -> int:
    return int(journal._one("SELECT count(*) FROM content"))


def test_a_load_keeps_pages_and_every_content_comes_back(journal: Journal) -> None:
    load(journal, *MANY)
    assert (pages(journal), singles(journal)) == (1, 0)
    assert [journal.content(PATIENT, key) for key in MANY] == [canon(key) for key in MANY]
    assert journal.content(PATIENT, 201) is None
    assert journal.content(Stream.APPOINTMENT, 5) is None


def test_a_short_page_is_kept_by_the_record(journal: Journal) -> None:
    load(journal, 1, 2, 3)
    assert (pages(journal), singles(journal)) == (0, 3)


def test_what_was_seen_later_comes_first(journal: Journal) -> None:
    load(journal, *MANY)
    with journal.turn() as turn:
        turn.see(PATIENT, rows(7, version=2), None)
    assert journal.content(PATIENT, 7) == canon(7, 2)
    assert journal.content(PATIENT, 8) == canon(8)
    load(journal, *MANY, version=3)  # loaded anew: the single row must not come first
    assert journal.content(PATIENT, 7) == canon(7, 3)
    assert singles(journal) == 0


def test_a_page_holds_only_its_own_records(journal: Journal) -> None:
    """Records between a page's ends that another lane had read before are not in it."""
    with journal.turn() as turn:
        turn.see(PATIENT, rows(50), None)
    load(journal, *(key for key in MANY if key != 50))
    assert journal.content(PATIENT, 50) == canon(50)


def test_nothing_of_it_stands_in_the_file(journal: Journal) -> None:
    load(journal, *MANY)
    journal.close()
    assert b"Ada" not in journal.path.read_bytes()


def test_a_page_moved_to_another_place_does_not_open(journal: Journal) -> None:
    load(journal, *MANY)
    journal._writer.execute("UPDATE content_page SET number = 77")
    with pytest.raises(InvalidTag):  # as the tests' seal says it
        journal.content(PATIENT, 5)


def test_forgetting_a_person_packs_the_page_anew(journal: Journal) -> None:
    load(journal, *MANY)
    before = journal._one("SELECT sealed FROM content_page")
    with journal.turn() as turn:
        assert turn.forget_person(PATIENT, [9, 200]) == 0
    assert journal.content(PATIENT, 9) is None
    assert journal.content(PATIENT, 200) is None
    assert journal.content(PATIENT, 10) == canon(10)
    assert journal._one("SELECT sealed FROM content_page") != before
    with journal.turn() as turn:
        turn.forget_person(PATIENT, list(MANY))
    assert pages(journal) == 0


def test_pruned_tombstones_leave_their_page(journal: Journal) -> None:
    load(journal, *MANY)
    with journal.turn() as turn:
        turn.bury(PATIENT, [3], None)
    journal._writer.execute("UPDATE record SET agreed = x'' WHERE key = 3")
    assert journal.content(PATIENT, 3) == canon(3)  # a merge may still need its base
    with journal.turn() as turn:
        turn.prune(tombstones_before=START + timedelta(days=1))
    assert journal.content(PATIENT, 3) is None
    assert journal.content(PATIENT, 4) == canon(4)


def test_many_at_once_are_what_each_is_alone(journal: Journal) -> None:
    load(journal, *MANY)
    load(journal, *range(150, 260), version=2)  # pages overlap: the newer one holds
    with journal.turn() as turn:
        turn.see(PATIENT, rows(7, version=3), None)
    keys = [1, 7, 8, 149, 150, 201, 259, 400]
    alone = {key: journal.content(PATIENT, key) for key in keys}
    assert alone[400] is None
    assert journal.contents(PATIENT, keys) == {k: c for k, c in alone.items() if c is not None}
    assert journal.contents(PATIENT, []) == {}
