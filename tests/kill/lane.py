"""The lane: kill upon kill while both sides live on, then quiet, then questions.

Chapters of so many kills. Each ends in quiet: everything asked for has ended, the independent
comparer finds both sides equal, the practice's witness saw nothing lost, twice or overwritten
unseen. Then one thing is put back from the copy made when the chapter began (the practice, the
journal, or the CRM), staff at work meanwhile, the agent killed once more; and quiet again. What a
copy took away nobody can promise; that nothing is done a second time, and that both sides agree,
is asked again.

An agent takes a second or more to start, several on a busy machine. Most kills wait until it is at
work, then for a random moment; one in three falls into the start.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, Self

from agent.sandbox.compare.report import StreamReport
from tests.bench.rig import tell
from tests.e2e.crm_side import Asked, CrmDesk
from tests.e2e.person import Person
from tests.e2e.two_sided import SERVER_GONE, Bustle, Wrong, overlaps, views, what_went_wrong
from tests.kill import mishaps
from tests.kill.rig import OpenDental, Troubled, make
from tests.kill.witness import judge

ACTS = ("practice", "journal", "crm")  # what is put back from its copy
STARTING = 1 / 3  # share of kills that fall into the agent's start
AT_WORK_S = 60.0  # for what hangs
QUIET_S = 240.0  # without anything coming of it
AT_REST = frozenset({"up_to_date", "needs_review"})
TOO_MANY = "proof.too_many"
SUSPECT = frozenset({"pms.suspect_restored", "pms.wrong_database"})


@dataclass
class Outcome:
    """One engine's run."""

    engine: str
    seed: int
    asked_for: int = 0  # kills
    patients: int = 0
    kills: int = 0
    at_work: int = 0  # kills of an agent that was past its start
    seconds: float = 0.0
    mishaps: Counter[str] = field(default_factory=Counter)
    left_out: list[str] = field(default_factory=list)
    restored: Counter[str] = field(default_factory=Counter)
    fenced: int = 0  # restored practices a person had to accept
    sent_again: int = 0  # restored CRMs a person had to have filled
    ended: Counter[str] = field(default_factory=Counter)  # codes of agents that ended by themselves
    deeds: int = 0
    asked: Counter[str] = field(default_factory=Counter)  # ends of what the CRM's people asked for
    reasons: Counter[str] = field(default_factory=Counter)  # of what was not applied
    refused: Counter[str] = field(default_factory=Counter)  # by the CRM, at once
    settled: int = 0  # writes a person had to look up
    witnessed: int = 0  # edits of ours
    rivalled: int = 0  # edits of somebody in the practice, in the same lines
    raced: int = 0  # typed in the practice in the very moment of writing, and replaced
    compared: int = 0  # records, at the last look
    quiet_s: list[float] = field(default_factory=list)  # from quiet until everything agreed
    wrong: list[Wrong] = field(default_factory=list)

    def count(self, kind: str) -> int:
        return sum(one.kind == kind for one in self.wrong)

    def line(self) -> str:
        counts = ", ".join(f"{self.count(k)} {k}" for k in ("lost", "twice", "silent", "stuck"))
        return (
            f"{self.engine} seed {self.seed}: {self.kills} kills, {self.deeds} deeds,"
            f" {self.asked.total()} requests, {sum(self.restored.values())} restores;"
            f" {counts}; {self.seconds:.0f} s"
        )


def run(
    engine: str,
    *,
    kills: int,
    seed: int,
    patients: int = 120,
    chapter: int = 25,
    acts: tuple[str, ...] = ACTS,
    most_s: float = 1.5,
) -> Outcome:
    """``acts``: put back in turn, one after each chapter; ``most_s``: the longest while an agent at
    work is left alone."""
    began = time.monotonic()
    out = Outcome(engine, seed, asked_for=kills, patients=patients)
    try:
        with make(engine, patients=patients, seed=seed) as rig:
            names = mishaps.possible(rig)
            out.left_out = sorted(set(mishaps.MISHAPS) - set(names))
            lane = Lane(rig, out, Random(f"kill:{engine}:{seed}"), most_s)
            lane.first_load()
            number = 0
            while out.kills < kills:
                act = acts[number % len(acts)] if acts else ""
                lane.chapter(min(chapter, kills - out.kills - bool(act)), names, act)
                number += 1
                if out.wrong:  # what comes after would only be its consequences
                    raise _LeaveIt
            rig.stop_agent()
    except _LeaveIt:
        pass
    except Exception as error:  # other parts go on; whatever it was, this one is not clean
        traceback.print_exc()
        out.wrong.append(Wrong("broken off", f"{type(error).__name__}: {error}"))
    out.seconds = time.monotonic() - began
    return out


class _LeaveIt(Exception):
    """Something went wrong: the rig's folder is kept for a look."""


def _differs(line: StreamReport) -> Wrong:
    counts = f"{line.missing} missing, {line.extra} extra, {line.different} different"
    return Wrong("lost", f"{line.stream}: {counts}")


class Lane:
    def __init__(self, rig: Troubled, out: Outcome, rng: Random, most_s: float) -> None:
        self.rig = rig
        self.out = out
        self._rng = rng
        self._most_s = most_s
        self._edits: list[Asked] = []  # every one of the run
        self._tokens: list[Asked] = []
        self._witnessed: set[str] = set()  # what the practice's database saw us write
        self._chapters = 0
        self._before = ""  # the mishap before this one
        self._start_s = 1.0  # the last start that was waited for

    def first_load(self) -> None:
        """Killed in the middle of it, too."""
        rig = self.rig
        rig.begin()
        rig.start_agent()
        self._start_s = rig.wait_at_work(AT_WORK_S)
        mishaps.wait(self._rng, self._most_s / 3)
        self._kill("first load")
        rig.start_agent()
        rig.wait_loaded(QUIET_S)
        for kind in ("patient.update_contact", "appointment.confirm"):
            rig.wait_offered(kind, QUIET_S)
        self._try_witness()

    def _try_witness(self) -> None:
        """Before it is believed: it sees a line that somebody types, and so do we."""
        with CrmDesk(self.rig.crm_url) as desk:
            key = desk.get("patients", q="a", limit=1)["people"][0]["key"]
        self.rig.readdress(key, "Front")
        seen = [(w.key, w.is_ours) for w in self.rig.witnessed() if w.new == "Front"]
        if seen != [(key, False)] or self.rig.address(key) != "Front":
            raise RuntimeError(f"the witness is blind: {seen}")

    def chapter(self, kills: int, names: list[str], act: str) -> None:
        self._chapters += 1
        self._copy(act)
        bustle = self._bustle(crm=True)
        with bustle, self._rivalry(bustle):
            for name in mishaps.plan(names, max(kills, 1), self._rng):
                self._one(name)
        self._after(bustle)
        self._quiet(bustle.asked)
        if act and not self.out.wrong:
            self._put_back(act)

    # --- killing ---------------------------------------------------------------------------------

    def _instant(self) -> None:
        """A random one of the agent's life."""
        if self._rng.random() < STARTING:
            mishaps.wait(self._rng, self._start_s)
        else:
            self._start_s = self.rig.wait_at_work(AT_WORK_S)
            mishaps.wait(self._rng, self._most_s)

    def _one(self, name: str) -> None:
        self._instant()
        with mishaps.MISHAPS[name](self.rig, self._rng):
            mishaps.wait(self._rng, self._most_s / 3)
            self._kill(name)
            self.rig.start_agent()
            mishaps.wait(self._rng, self._most_s / 3)
        self.out.mishaps[name] += 1
        if not self.rig.is_running():  # as a service's supervisor would
            self._ended(self.rig.kill_agent(), name)
            self.rig.start_agent()
        self._before = name

    def _kill(self, name: str) -> None:
        was_at_work = self.rig.is_at_work()
        ended = self.rig.kill_agent()
        self._ended(ended, name)
        if ended is None:  # else it was dead already
            self.out.kills += 1
            self.out.at_work += was_at_work

    def _ended(self, code: int | None, name: str) -> None:
        """An agent may end by itself where it cannot write; nowhere else. One that began on a full
        disk may do so a moment after there is room again."""
        if code is None:
            return
        self.out.ended[str(code)] += 1
        if "disk full" not in {name, self._before}:
            self.out.wrong.append(Wrong("stuck", f"the agent ended with {code} ({name})"))

    # --- living ----------------------------------------------------------------------------------

    def _bustle(self, *, crm: bool) -> Bustle:
        rates = [1.0, 1.0] if crm else []
        return Bustle(self.rig, staff_rate=4, crm_rates=rates, kinds=self.rig.kinds,
                      seed=100 * self._chapters + 10_000 * self.out.seed)  # fmt: skip

    @contextmanager
    def _rivalry(self, bustle: Bustle) -> Iterator[None]:
        stop = threading.Event()
        rival = threading.Thread(target=self._rival, args=(bustle, stop))
        rival.start()
        try:
            yield
        finally:
            stop.set()
            rival.join()

    def _rival(self, bustle: Bustle, stop: threading.Event) -> None:
        """Somebody in the practice who types into the very lines the CRM is about to change."""
        rng = Random(f"rival:{self.out.seed}:{self._chapters}")
        number = 0
        while not stop.wait(rng.uniform(0.5, 2.0)):
            edits = [one for one in bustle.asked if one.kind == "edit"][-4:]
            if edits:
                number += 1
                with suppress(*SERVER_GONE):
                    self.rig.readdress(rng.choice(edits).key, f"Rear {self._chapters}-{number}")
                    self.out.rivalled += 1

    def _after(self, bustle: Bustle) -> None:
        self.out.deeds += bustle.deeds.total()
        self._edits += bustle.tried
        for person in bustle.people:
            self.out.refused.update(person.refused)
        self._tokens += [one for one in bustle.asked if one.token]

    # --- asking ----------------------------------------------------------------------------------

    def _quiet(self, asked: list[Asked]) -> None:
        """Everything mended; what is owed is looked for."""
        rig, out = self.rig, self.out
        mishaps.all_is_well(rig)
        began = time.monotonic()
        person = rig.person()
        tending = Tending(rig, person)
        with tending:
            found = views(rig, asked, QUIET_S, person)
            self._agree(began)
        out.fenced += bool(tending.accepted)
        out.sent_again += bool(tending.sent_again)
        out.settled += person.settled.total()
        out.asked.update(view["state"] for view in found.values())
        ends = [(one.kind, found[one.command_id]) for one in asked]
        out.reasons.update(
            f"{kind} {view['state']} {view.get('reason_code') or ''} {view.get('why') or ''}"
            for kind, view in ends
            if view["state"] != "applied"
        )
        out.wrong += what_went_wrong(rig, asked, found)
        if isinstance(rig, OpenDental):
            out.wrong += [Wrong("twice", f"two visits in one place: {p}") for p in overlaps(rig)]
        writes = rig.witnessed()
        self._witnessed |= {write.new for write in writes if write.is_ours}
        out.witnessed = len(self._witnessed)  # no value is asked for twice
        states = {ident: view["state"] for ident, view in found.items()}
        judged = judge(writes, self._edits, states, rig.address, rig.moment_s)
        out.wrong += judged.wrong
        out.raced = max(out.raced, judged.raced)  # a copy put back takes the witness's lines along

    def _agree(self, began: float) -> None:
        deadline = time.monotonic() + QUIET_S
        while True:
            # A look costs most of a second of CPU: not before the agent believes that it is done.
            self.rig.wait_says(AT_REST, 5)
            if (verdict := self.rig.verdict()).agrees:
                break
            if time.monotonic() > deadline:
                tell(verdict.table())
                self.out.wrong += [_differs(line) for line in verdict.streams if not line.agrees]
                return
            time.sleep(1)
        out = f"{self.out.engine} seed {self.out.seed}: {self.out.kills} kills"
        tell(f"{out}; agreed {time.monotonic() - began:.0f} s after quiet")
        self.out.compared = verdict.total
        self.out.quiet_s.append(time.monotonic() - began)

    # --- yesterday -------------------------------------------------------------------------------

    def _copy(self, act: str) -> None:
        rig = self.rig
        match act:
            case "practice":
                rig.copy_practice()
            case "crm":
                rig.copy_crm()
            case "journal":
                self._kill("journal copied")
                rig.copy_journal()
                rig.start_agent()

    def _put_back(self, act: str) -> None:
        rig = self.rig
        self._chapters += 1
        with self._bustle(crm=False) as bustle:
            match act:
                case "practice":
                    rig.restore_practice()
                    self._instant()
                    self._kill("practice restored")
                case "crm":
                    rig.restore_crm()
                    self._instant()
                    self._kill("crm restored")
                case "journal":
                    self._kill("journal restored")
                    rig.restore_journal()
            rig.start_agent()
            mishaps.wait(self._rng, self._most_s)
        self.out.restored[act] += 1
        self._after(bustle)
        self._quiet([])
        self.out.wrong += self._made_twice()

    def _made_twice(self) -> list[Wrong]:
        """Nothing asked for in this run stands there twice, whatever was put back."""
        if not self._tokens:
            return []
        wrong = []
        for one in self._tokens:
            table, standing = {
                "book": ("appointment", " AND AptStatus<>3"),
                "note": ("commlog", ""),
            }[one.kind]
            sql = f"SELECT COUNT(*) FROM {table} WHERE Note LIKE %s{standing}"
            made = self.rig.rows(sql, f"%{one.token}%")[0][0]
            if made > 1:
                wrong.append(Wrong("twice", f"{one.kind} {one.command_id}: {made} in the practice"))
        return wrong


class Tending:
    """Practice's IT, who does what the status asks of a person, until the block ends."""

    def __init__(self, rig: Troubled, person: Person) -> None:
        self.accepted = 0
        self.sent_again = 0
        self._rig, self._person = rig, person
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._stop.wait(0.5):
            report: dict[str, Any] | None = self._rig.status()
            if report is None:
                continue
            snapshot = report["snapshot"]
            if snapshot["pms_error"] in SUSPECT:
                self.accepted += self._does("sync", "--accept-source")
            if any(found["code"] == TOO_MANY for found in snapshot["findings"]):
                self.sent_again += self._does("audit", "compare", "--repair", "--many")

    def _does(self, *words: str) -> bool:
        with suppress(RuntimeError):  # the status of a moment ago
            self._rig.bridgework(*words, "--json")
            self._stop.wait(3)
            return True
        return False
