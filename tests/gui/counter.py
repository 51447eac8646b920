"""A person at the control channel who brings in CSV files."""

from __future__ import annotations

from typing import Any

import msgspec

from agent.cli.stage import Stage
from agent.config import PayloadSeal, open_secrets
from agent.control.client import Client
from agent.journal.snapshot import visiting
from agent.model.longwork import Job, OpenUpload, SendPart
from agent.model.sheets import ApplyImport, IntakeView, ListRows, PreviewImport, Reading, RowLine
from agent.model.streams import Stream
from tests.support.until import ended


class Desk:
    """A person at the control channel."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.agent = Client.call(stage.paths.control_socket, name="test")

    def close(self) -> None:
        self.agent.close()

    def held(self, stream: Stream) -> dict[int, dict[str, Any]]:
        """As the journal holds them, each with its version."""
        paths = self.stage.paths
        seal = PayloadSeal.from_store(open_secrets(paths), may_create=False)
        with visiting(paths.journal_file(), seal) as (_, visitor):
            keys = visitor.keys_after(stream, None, 5000)
            found = visitor.contents_by(stream, keys)
        return {int(key): {**msgspec.json.decode(c), "version": lsn}
                for key, (c, lsn) in found.items()}  # fmt: skip

    def preview(self, text: str, reading: Reading | None = None) -> tuple[Job, list[RowLine]]:
        content = text.encode()
        token = self.agent.ask(OpenUpload("rows.csv", len(content))).token
        self.agent.ask(SendPart(token, 0, content))
        job = self._ended(self.agent.ask(PreviewImport(token, reading or Reading())))
        return job, list(self.agent.ask(ListRows(job.number)).rows)

    def apply(self, job: Job) -> IntakeView:
        done = self._ended(self.agent.ask(ApplyImport(job.number)))
        return msgspec.convert(done.result, IntakeView)

    def _ended(self, job: Job) -> Job:
        done = ended(self.agent, job)
        assert done.code == "", done.code
        return done
