"""Key sets on a real server: rows that come and go without a stamp or a log line."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.model.streams import Stream
from tests.sync.rig import TUNING, Office, Site

pytestmark = [pytest.mark.mariadb, pytest.mark.xdist_group("mariadb")]

Open = Callable[..., Site]
RECALL, NOTE = Stream.RECALL, Stream.CLINICAL_NOTE


def look(site: Site) -> int:
    """One visit, when it is due; what it found is sent."""
    site.wait(TUNING.key_sets_s + 1)
    found = site.session.key_sets.visit(site.reader, frozenset())
    site.send()
    return found


def test_a_traceless_deletion_is_noticed_without_a_sweep(office: Office, open_site: Open) -> None:
    numbers = [office.due_recall() for _ in range(3)]
    site = open_site(RECALL)
    site.load()
    assert look(site) == 0
    office.run(f"DELETE FROM recall WHERE RecallNum={numbers[1]}")
    assert site.tick() == 0
    assert site.session.key_sets.visit(site.reader, frozenset()) == 0  # not due yet
    assert look(site) == 1
    held = site.held(RECALL, numbers[1])
    assert held is not None
    assert held.missing_since is not None
    assert look(site) == 0  # noticed once
    site.wait(TUNING.confirm_delete_s + 1)
    assert site.confirm() == 1
    assert not site.has(RECALL, numbers[1])
    site.agree()


def test_a_row_written_below_the_highest_key_is_found(office: Office, open_site: Open) -> None:
    for _ in range(120):  # smaller tables without stamps are read whole
        top = office.write_note()
    office.write_note(ProcNoteNum=top + 700)
    site = open_site(NOTE)
    site.load()
    site.wait(120)  # the hole is old: the key tail no longer looks into it
    office.write_note(ProcNoteNum=top + 350, Note="late")
    site.tick()
    assert not site.has(NOTE, top + 350)
    assert look(site) == 1
    assert site.record(NOTE, top + 350)["note"] == "late"
    site.agree()


def test_many_rows_are_halved_to_the_one_that_went(office: Office, open_site: Open) -> None:
    numbers = [office.due_recall() for _ in range(1300)]
    try:
        site = open_site(RECALL)
        site.load()
        office.run(f"DELETE FROM recall WHERE RecallNum={numbers[900]}")
        sent = len(site.reader.calls)
        assert look(site) == 1
        digests = [call for call in site.reader.calls[sent:] if call[0] == "key_digest"]
        assert 3 <= len(digests) <= 12
        (asked,) = [call[1][1] for call in site.reader.calls[sent:] if call[0] == "read_keys"]
        assert list(asked) == [numbers[900]]
    finally:  # other tests share the office, and a brake counts shares of what there is
        office.run(f"DELETE FROM recall WHERE RecallNum>={numbers[0]}")


def test_tables_that_did_not_move_are_left_alone(office: Office, open_site: Open) -> None:
    office.due_recall()
    site = open_site(RECALL, gates=True)
    site.load()
    look(site)
    first = len(site.reader.asked("key_digest"))
    assert first > 0
    look(site)
    assert len(site.reader.asked("key_digest")) == first


def test_a_braked_stream_is_left_alone(office: Office, open_site: Open) -> None:
    office.due_recall()
    site = open_site(RECALL)
    site.load()
    site.wait(TUNING.key_sets_s + 1)
    site.session.key_sets.visit(site.reader, frozenset({RECALL}))
    assert site.reader.asked("key_digest") == []
