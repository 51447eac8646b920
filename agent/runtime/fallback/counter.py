"""What people may ask about files, jobs, CSV, outages, doctor, log and bundle: the answers.

Beside ``Desk``, which takes these in as its own. Without an agent everything works but bringing a
file in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agent.control.server import Caller
from agent.errors import AgentError
from agent.journal.reads import Reads
from agent.model import helping, longwork, sheets
from agent.model.asking import MOST, Done, Request
from agent.model.longwork import Job, JobState
from agent.runtime.fallback.exporting import Exporting
from agent.runtime.fallback.files import Files
from agent.runtime.fallback.importing import Importing, Preview, intake_view
from agent.runtime.fallback.jobs import Jobs, JobsError, Ticket
from agent.runtime.fallback.outages import outage_line


@dataclass(frozen=True, slots=True)
class Help:
    """Support's tools. ``diagnose``: runs the doctor; ``bundle``: makes (or previews) one."""

    diagnose: Callable[[Ticket], helping.Diagnosis]
    bundle: Callable[[helping.MakeBundle, Ticket], helping.BundleMade]


Answers = dict[type[Request[Any]], Callable[[Any, Caller], object]]


class HelpCounter:
    """What works without a journal too: files, jobs, doctor, bundle."""

    def __init__(self, files: Files, jobs: Jobs, help_: Help) -> None:
        self.files = files
        self.jobs = jobs
        self._help = help_

    def answers(self) -> Answers:
        return {
            longwork.OpenUpload: lambda w, _: longwork.Upload(self.files.open(w.name, w.size)),
            longwork.SendPart: self._send,
            longwork.FetchPart: lambda w, _: self.files.fetch(w.token, w.at),
            longwork.DropFile: self._drop,
            longwork.ShowJob: lambda w, _: self.jobs.show(w.number),
            longwork.CancelJob: lambda w, _: self.jobs.cancel(w.number),
            helping.RunDoctor: lambda _, __: self.jobs.start("doctor", self._help.diagnose),
            helping.MakeBundle: lambda w, _: self.jobs.start(
                "bundle", lambda ticket: self._help.bundle(w, ticket)
            ),
        }

    def close(self) -> None:
        self.jobs.stop()
        self.files.close()

    def _send(self, wish: longwork.SendPart, _: Caller) -> Done:
        self.files.send(wish.token, wish.at, wish.content)
        return Done()

    def _drop(self, wish: longwork.DropFile, _: Caller) -> Done:
        self.files.drop(wish.token)
        return Done()


class Counter(HelpCounter):
    """All of it."""

    def __init__(
        self,
        journal: Reads,
        files: Files,
        jobs: Jobs,
        exporting: Exporting,
        importing: Importing,
        help_: Help,
        say: Callable[[str, Mapping[str, Any]], str],
    ) -> None:
        super().__init__(files, jobs, help_)
        self._journal = journal
        self.exporting = exporting
        self._importing = importing
        self._say = say

    def answers(self) -> Answers:
        return super().answers() | {
            sheets.ListOutages: self._outages,
            sheets.CountPending: lambda _, __: sheets.PendingCount(
                self._journal.waiting_by_stream()
            ),
            sheets.ExportSheet: self._export,
            sheets.LookAtSheet: lambda w, _: self._importing.look(w.token, w.reading),
            sheets.PreviewImport: self._preview,
            sheets.ListRows: self._rows,
            sheets.ExportRejected: self._rejected,
            sheets.ApplyImport: self._apply,
            sheets.ListIntakes: self._intakes,
            sheets.ShowIntakeEffects: self._effects,
        }

    # -- outages and export -----------------------------------------------------------------------

    def _outages(self, wish: sheets.ListOutages, _: Caller) -> sheets.OutagePage:
        rows = self._journal.outages(_bounded(wish.limit), wish.since)
        return sheets.OutagePage(tuple(outage_line(row) for row in rows))

    def _export(self, wish: sheets.ExportSheet, _: Caller) -> Job:
        return self.jobs.start("export", lambda ticket: self.exporting.export(wish, ticket))

    # -- import -----------------------------------------------------------------------------------

    def _preview(self, wish: sheets.PreviewImport, _: Caller) -> Job:
        def work(ticket: Ticket) -> sheets.Counts:
            preview = self._importing.preview(wish.token, wish.reading, ticket)
            self.jobs.keep(ticket.number, preview)
            return preview.counts

        return self.jobs.start("preview", work)

    def _previewed(self, number: int) -> Preview:
        job, preview = self.jobs.show(number), self.jobs.kept(number)
        if job.state is not JobState.DONE or not isinstance(preview, Preview):
            raise JobsError("jobs.not_ready")
        self.files.path(preview.path.name)  # files.gone when it is too old
        return preview

    def _rows(self, wish: sheets.ListRows, _: Caller) -> sheets.RowPage:
        preview = self._previewed(wish.job)
        return preview.page(wish.verdicts, max(wish.after, 0), _bounded(wish.limit))

    def _rejected(self, wish: sheets.ExportRejected, _: Caller) -> Job:
        preview = self._previewed(wish.job)
        return self.jobs.start(
            "rejected",
            lambda _ticket: self.exporting.rejected(preview.heads, preview.rejected(), self._say),
        )

    def _apply(self, wish: sheets.ApplyImport, caller: Caller) -> Job:
        preview = self._previewed(wish.job)
        if not self._importing.may_apply:
            raise AgentError("desk.needs_agent")

        def work(ticket: Ticket) -> sheets.IntakeView:
            done = self._importing.apply(preview, caller.name, ticket)
            self.files.drop(preview.token)
            self.files.drop(preview.path.name)
            return done

        return self.jobs.start("import", work)

    def _intakes(self, wish: sheets.ListIntakes, _: Caller) -> sheets.IntakePage:
        rows = self._journal.intakes(_bounded(wish.limit))
        return sheets.IntakePage(tuple(intake_view(self._journal, row.number) for row in rows))

    def _effects(self, wish: sheets.ShowIntakeEffects, _: Caller) -> sheets.IntakeEffects:
        if self._journal.intake(wish.number) is None:
            raise AgentError("desk.not_found", what="import", id=wish.number)
        return sheets.IntakeEffects(tuple(self._journal.intake_effects(wish.number)))


def _bounded(limit: int) -> int:
    return min(max(limit, 1), MOST)
