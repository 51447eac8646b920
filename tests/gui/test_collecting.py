"""Garbage ends between events, in the thread of the window, and nowhere else."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from gui.collecting import Collector


class Ring:
    """Garbage that only the collector finds. Tells the thread it ended in."""

    def __init__(self, ended: list[int]) -> None:
        self.me = self
        weakref.finalize(self, lambda: ended.append(threading.get_ident()))


@pytest.fixture
def collector(qapp: QObject) -> Iterator[Collector]:
    gc.collect()
    made = Collector(qapp)
    yield made
    made.deleteLater()


def litter(rings: int, ended: list[int]) -> None:
    for _ in range(rings):
        Ring(ended)


def test_a_worker_collects_nothing_and_the_event_loop_does(
    collector: Collector, qtbot: QtBot
) -> None:
    ended: list[int] = []
    worker = threading.Thread(target=litter, args=(5_000, ended))
    worker.start()
    worker.join()
    assert ended == []
    qtbot.waitUntil(lambda: len(ended) == 5_000)
    assert set(ended) == {threading.get_ident()}


def test_what_is_within_bounds_is_left(collector: Collector) -> None:
    gc.collect()
    ended: list[int] = []
    litter(10, ended)
    collector.look()
    assert ended == []
