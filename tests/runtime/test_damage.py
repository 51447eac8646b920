"""The journal's file is damaged under a running agent: it says so, begins anew, agrees again."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.cli.stage import Stage
from agent.config import load_settings
from agent.errors import JournalDamaged
from agent.model.status import State
from agent.runtime import runner as module
from agent.runtime.host import Host
from agent.runtime.runner import Runner
from agent.sandbox.practice.life import Life
from tests.support.pages import behead
from tests.support.until import until


def test_a_journal_damaged_at_work_is_made_anew_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    monkeypatch.setattr(module, "DOUBT_WAIT_S", 0.0)
    monkeypatch.setattr(module, "TROUBLE_RETRY_S", 0.5)
    with Stage(tmp_path, patients=20) as stage:
        runner = Runner(lambda: load_settings((), home=stage.paths.home), stage.paths)
        runner.start()
        try:
            until(lambda: runner.report().state is State.UP_TO_DATE, 60, every_s=0.1)
            first = runner._current
            assert isinstance(first, Host)
            first.journal._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            behead(first.journal.path, "conflict_untold")
            with pytest.raises(JournalDamaged):
                first.journal.conflicts_untold(10)
            until(lambda: runner.look() or runner._current is not first, 30, every_s=0.1)
            assert runner.report().state is State.ACTION_NEEDED
            until(lambda: runner.look() or isinstance(runner._current, Host), 30, every_s=0.1)
            assert isinstance(runner._current, Host)
            assert runner._current.journal.uuid != first.journal.uuid
            assert len(list(first.journal.path.parent.glob("*.damaged-*"))) == 1
            assert list(Life(stage.desk, seed=3).run(rate=50, changes=10))
            assert stage.wait_agreed(60).agrees
            until(lambda: runner.report().state is State.UP_TO_DATE, 60, every_s=0.1)
        finally:
            assert runner.stop()
