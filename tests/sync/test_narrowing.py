"""A site that suddenly offers less is held back; an upgrade or another map is not."""

from __future__ import annotations

from agent.model.reading import Column
from agent.model.streams import Stream
from agent.sync.narrowing import Bound, narrowed


def bound(basis: str, *names: str) -> Bound:
    return Bound.of(basis, [Column("patient", name) for name in names])


def test_lost_columns_are_named() -> None:
    before = {Stream.PATIENT: bound("v1", "LName", "FName")}
    now = {Stream.PATIENT: bound("v1", "LName", "Extra")}
    assert narrowed(before, now, "v1") == {Stream.PATIENT: ("patient.FName",)}


def test_a_stream_that_vanished_lost_everything() -> None:
    before = {Stream.PATIENT: bound("v1", "LName")}
    assert narrowed(before, {}, "v1") == {Stream.PATIENT: ("patient.LName",)}


def test_more_columns_and_another_basis_are_no_loss() -> None:
    before = {Stream.PATIENT: bound("v1", "LName")}
    wider = {Stream.PATIENT: bound("v1", "LName", "FName")}
    upgraded = {Stream.PATIENT: bound("v2", "FName")}
    assert narrowed(before, wider, "v1") == {}
    assert narrowed(before, upgraded, "v2") == {}
