"""The flow of the first-run wizard: one method a request of ``agent.model.setup``.

    flow = Setup(load=..., paths=..., secrets=...)
    flow.answer(GetSetup(), caller).next          # the first missing step

Every step can be repeated. What a person says is kept at once, each thing where it belongs:
settings in the settings file, secrets in the store, statuses and policies in the site's map, and
which steps were answered in ``setup.json``. The window, ``bridgework setup`` and tests come here.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import structlog

from agent import __version__
from agent.config import MANIFEST, Paths, Settings
from agent.config.secrets import Secrets
from agent.config.store import save_setting, write_atomic
from agent.control.server import Caller, Offer
from agent.crm.connect import open_transport
from agent.crm.enroll import enroll
from agent.crm.pairing import PairingStore
from agent.errors import AgentError, ConfigError, ExitCode
from agent.journal.journal import Journal
from agent.model import setup as ask
from agent.model.asking import Done, Request
from agent.model.reading import Severity
from agent.model.setup import Step, StepLine
from agent.model.streams import ESSENTIAL, Stream
from agent.ports import Clock
from agent.runtime.setup import look, place
from agent.runtime.setup.state import Remembered, place_of, recall, remember
from agent.runtime.sources import open_writer, shipped_map, site_map, whole_map
from agent.sync.datamap import DataMap
from agent.sync.fieldgroups import FIXED, decided, groups_of
from agent.sync.maprows import MapRow, Owner, read_map_file, read_rows
from agent.sync.sitemap import Edits, checked, edited

T = TypeVar("T")
log = structlog.get_logger(__name__)

ROWS_A_SECOND = 5000  # of a first load beside a working office; README "Measured" has the ceiling


class SetupError(AgentError):
    """The step cannot be done as things stand."""

    code = "setup.cannot"
    exit_code = ExitCode.ACTION


class Setup:
    """Thread-safe: one step at a time. ``on_finish``: the agent may begin; ``restart``: begin anew
    with what was saved."""

    def __init__(
        self,
        load: Callable[[], Settings],
        paths: Paths,
        secrets: Secrets,
        clock: Clock,
        *,
        on_finish: Callable[[], None],
        restart: Callable[[], None] | None = None,
    ) -> None:
        self._load = load
        self._paths = paths
        self._secrets = secrets
        self._clock = clock
        self._on_finish = on_finish
        self._restart = restart
        self._journal: Journal | None = None
        self._lock = threading.RLock()
        self._is_stale = False  # saved since the engine read its settings
        self._answers: dict[type[Request[Any]], Callable[[Any], object]] = {
            ask.GetSetup: lambda _: self.view(),
            ask.PairByCode: self._pair,
            ask.ConfirmPractice: self._confirm_practice,
            ask.FindPms: self._find,
            ask.TestPms: self._test,
            ask.UsePms: self._use,
            ask.GetProof: self._proof,
            ask.ConfirmProof: self._confirm_proof,
            ask.GetScope: self._scope,
            ask.SetScope: self._set_scope,
            ask.GetPolicies: self._policies,
            ask.SetPolicies: self._set_policies,
            ask.GetHours: self._hours,
            ask.SetHours: self._set_hours,
            ask.GetPreview: self._preview,
            ask.FinishSetup: self._finish,
            ask.RestartEngine: self._restart_engine,
        }

    def offers(self) -> list[Offer]:
        """For the control server."""
        return [Offer(kind, self.answer) for kind in self._answers]

    def begun(self, journal: Journal | None) -> None:
        """The engine (None: no engine) now works by what is saved."""
        self._is_stale = False
        self._journal = journal

    def saved(self) -> None:
        """Somebody else saved what the running engine does not know yet."""
        self._is_stale = True

    def _note(self, act: str, caller: Caller) -> None:
        """Who changed what, in the chain; before the first start there is none to write into."""
        if self._journal is not None:
            with self._journal.turn() as turn:
                turn.audit(act, {"actor": caller.name})

    def answer(self, request: Request[T], caller: Caller) -> T:
        """AgentError: why not. Roles are the channel's to check."""
        with self._lock:
            found: T = self._answers[type(request)](request)  # type: ignore[assignment]
            if type(request) in _CHANGES:
                self._note(request.method, caller)
            return found

    # -- where we stand ---------------------------------------------------------------------------

    def view(self) -> ask.SetupView:
        settings = self._load()
        held = recall(self._paths)
        pairing = PairingStore(self._secrets).find()
        is_paired = pairing is not None and bool(settings.crm.client_id)
        if held is None and is_paired:  # set up without the wizard
            done = dict.fromkeys(Step, True)
            held = Remembered(finished_at=datetime.fromtimestamp(0, UTC))
        else:
            held = held or Remembered()
            is_placed = bool(held.place) and held.place == place_of(settings)
            is_known = is_placed and bool(held.identity)
            done = {
                Step.PAIR: is_paired
                and pairing is not None
                and held.practice_of == pairing.client_id,
                Step.FIND: is_placed,
                Step.PROOF: is_known,
                Step.SCOPE: is_known and held.scope,
                Step.CONFLICTS: is_known and held.conflicts,
                Step.HOURS: held.hours,
                Step.PREVIEW: held.finished_at is not None,
            }
        facts: dict[Step, dict[str, str | int | float | None]] = {
            Step.PAIR: {
                "practice": pairing.practice_name if pairing is not None else "",
                "url": settings.crm.url,
            },
            Step.FIND: {
                "kind": place.TITLES.get(settings.pms.kind, settings.pms.kind),
                "host": settings.pms.host,
                "database": settings.pms.database,
            },
            Step.PROOF: {"patients": held.patients},
            Step.SCOPE: {
                "skipped": len(settings.skipped_streams),
                "writer": settings.pms.writer,
            },
            Step.HOURS: {"hours": settings.practice.hours},
        }
        lines = tuple(StepLine(step, bool(done[step]), facts.get(step, {})) for step in Step)
        missing = next((line.step for line in lines if not line.done), None)
        is_finished = held.finished_at is not None and missing is None
        return ask.SetupView(lines, missing, is_finished, restart=self._is_stale and is_finished)

    def _held(self) -> Remembered:
        """Where the wizard was never used on a computer that works: as its settings say."""
        held = recall(self._paths)
        if held is not None:
            return held
        pairing = PairingStore(self._secrets).find()
        settings = self._load()
        if pairing is None or not settings.crm.client_id:
            return Remembered()
        return Remembered(
            practice_of=pairing.client_id,
            place=place_of(settings),
            identity="adopted",
            scope=True,
            conflicts=True,
            hours=True,
            finished_at=self._clock.now(),
        )

    def _keep(self, held: Remembered, **changes: Any) -> ask.SetupView:
        self._paths.prepare()
        remember(self._paths, msgspec.structs.replace(held, **changes))
        self._is_stale = True
        return self.view()

    # -- pair -------------------------------------------------------------------------------------

    def _pair(self, wish: ask.PairByCode) -> ask.PairedView:
        settings = self._load()
        held = self._held()
        transport = open_transport(settings, self._clock, __version__, url=wish.url or None)
        try:
            pairing = enroll(
                wish.code,
                transport=transport,
                pairings=PairingStore(self._secrets),
                clock=self._clock,
                agent_version=__version__,
                label=wish.label or socket.gethostname(),
            )
            self._paths.prepare()
            file = self._paths.config_file
            save_setting(file, "crm.url", transport.base_url)
            save_setting(file, "crm.client_id", pairing.client_id)
        finally:
            transport.close()
        self._keep(held)
        return ask.PairedView(
            transport.base_url,
            pairing.practice_id,
            pairing.practice_name,
            confirmed=held.practice_of == pairing.client_id,
        )

    def _confirm_practice(self, wish: ask.ConfirmPractice) -> ask.SetupView:
        held, store = self._held(), PairingStore(self._secrets)
        pairing = store.find()
        if pairing is None:
            raise SetupError("setup.not_paired")
        if wish.is_ours:
            return self._keep(held, practice_of=pairing.client_id)
        store.forget()
        return self._keep(held, practice_of="", finished_at=None)

    # -- find -------------------------------------------------------------------------------------

    def _find(self, _: ask.FindPms) -> ask.FoundPage:
        held = self._held()
        return place.found_page(self._load(), self._secrets, chosen=bool(held.place))

    def _test(self, wish: ask.TestPms) -> ask.TestView:
        return place.try_place(wish.settings, wish.secrets, self._load(), self._secrets)

    def _use(self, wish: ask.UsePms) -> ask.TestView:
        settings, held = self._load(), self._held()
        told = place.try_place(wish.settings, wish.secrets, settings, self._secrets)
        if told.works:
            self._paths.prepare()
            place.keep_place(wish.settings, wish.secrets, settings, self._secrets)
            now = place_of(self._load())
            if held.place == now and held.identity:
                self._keep(held)
            else:
                self._keep(held, place=now, identity="", scope=False, conflicts=False)
        return told

    # -- proof ------------------------------------------------------------------------------------

    def _proof(self, _: ask.GetProof) -> ask.ProofView:
        self._need(Step.FIND)
        settings, held = self._load(), self._held()
        with look.look_into(settings, self._secrets, site_map(settings)) as seen:
            proof = look.proof_of(seen, self._clock.now())
        return msgspec.structs.replace(proof, confirmed=held.identity == proof.identity)

    def _confirm_proof(self, wish: ask.ConfirmProof) -> ask.SetupView:
        self._need(Step.FIND)
        held = self._held()
        if not wish.is_ours:
            return self._keep(held, place="", identity="", finished_at=None)
        proof = self._proof(ask.GetProof())
        if proof.identity != wish.identity:  # another database since the person looked
            raise SetupError("setup.other_database")
        patients = next((c.rows for c in proof.counts if c.stream is Stream.PATIENT), 0)
        return self._keep(held, identity=proof.identity, patients=patients)

    # -- scope and statuses -----------------------------------------------------------------------

    def _scope(self, _: ask.GetScope) -> ask.ScopeView:
        self._need(Step.PROOF)
        settings = self._load()
        shipped = self._shipped(settings)
        whole = whole_map(settings)
        skipped = settings.skipped_streams
        with look.look_into(settings, self._secrets, whole) as seen:
            counts = {c.stream: c.rows for c in look.counted(seen, whole.streams)}
            found, looked_at = look.statuses(seen, shipped)
            readable = frozenset(seen.compiled.streams)
        return ask.ScopeView(
            streams=tuple(
                ask.StreamChoice(
                    stream,
                    counts.get(stream, 0),
                    on=stream not in skipped,
                    required=stream in ESSENTIAL,
                    readable=stream in readable,
                )
                for stream in whole.streams
            ),
            statuses=found,
            looked_at=looked_at,
            write_back=settings.pms.writer != "none",
            writes=self._writes(settings),
        )

    def _set_scope(self, wish: ask.SetScope) -> ask.SetupView:
        self._need(Step.PROOF)
        settings, held = self._load(), self._held()
        file = self._paths.config_file
        if wish.skip is not None:
            essential = ESSENTIAL.intersection(wish.skip)
            if essential:
                raise SetupError("setup.essential", stream=min(essential).value)
            save_setting(file, "sync.skip_streams", ",".join(s.value for s in wish.skip))
        if wish.write_back is not None:
            if not wish.write_back:
                save_setting(file, "pms.writer", "none")
            elif settings.pms.writer == "none":
                save_setting(file, "pms.writer", MANIFEST["pms.writer"].default)
        if wish.statuses:
            self._edit_map(settings, self._status_edits(settings, wish.statuses))
        return self._keep(held, scope=True)

    def _status_edits(self, settings: Settings, words: tuple[ask.StatusWord, ...]) -> Edits:
        site = whole_map(settings)
        wanted: dict[tuple[Stream, str], dict[str, str]] = {}
        for each in words:
            wanted.setdefault((each.stream, each.field), {})[each.value] = each.word
        edits: dict[tuple[Stream, str], dict[str, str]] = {}
        for (stream, field), told in wanted.items():
            row = next((r for r in site.of(stream) if r.field == field), None)
            if row is None or not all(look.can_map(row, value) for value in told):
                raise SetupError("setup.status_unmappable", stream=stream.value, field=field)
            edits[stream, field] = {"transform": look.mapped_to(row, told)}
        return edits

    def _writes(self, settings: Settings) -> str:
        """Message code of what may be written, as the writer says."""
        try:
            writer = open_writer(settings, self._secrets)
        except ConfigError as error:
            return error.code
        try:
            facts = writer.probe()
        except AgentError as error:
            return error.code
        finally:
            writer.close()
        if facts.abilities:
            return "setup.writes"
        told = [f.code for f in facts.findings]
        return told[0] if told else "setup.writes_nothing"

    # -- owners and policies ----------------------------------------------------------------------

    def _policies(self, _: ask.GetPolicies) -> ask.PolicyGroups:
        settings = self._load()
        shipped = {g.name: g for g in groups_of(self._shipped(settings))}
        return ask.PolicyGroups(
            tuple(
                ask.PolicyGroup(
                    group.name,
                    tuple(f"{row.stream.value}.{row.field}" for row in group.rows),
                    group.owner,
                    group.policy,
                    FIXED.get(group.name, ""),
                    shipped[group.name].owner if group.name in shipped else "shared",
                    shipped[group.name].policy if group.name in shipped else "ask",
                )
                for group in groups_of(site_map(settings))
            )
        )

    def _set_policies(self, wish: ask.SetPolicies) -> ask.SetupView:
        self._need(Step.PROOF)
        settings, held = self._load(), self._held()
        known = {group.name: group for group in groups_of(site_map(settings))}
        edits: dict[tuple[Stream, str], Mapping[str, Any] | None] = {}
        for choice in wish.choices:
            group = known.get(choice.group)
            try:
                if group is None:
                    raise ValueError(choice.group)
                edits.update(decided(group, Owner(choice.owner), choice.policy))
            except ValueError:
                raise SetupError("setup.policy_not_possible", group=choice.group) from None
        if edits:
            self._edit_map(settings, edits)
        return self._keep(held, conflicts=True)

    def _shipped(self, settings: Settings) -> DataMap:
        return shipped_map(settings)

    def _edit_map(self, settings: Settings, edits: Edits) -> None:
        """Into the site's own rows; nothing is kept that would not load."""
        shipped = self._shipped(settings)
        path = Path(settings.map.file) if settings.map.file else self._paths.site_map
        rows: list[MapRow] = []
        if path.exists():
            rows = read_rows(read_map_file(path), path.name)
        text = checked(shipped, edited(shipped, rows, edits))
        self._paths.prepare()
        write_atomic(path, text.encode())
        if not settings.map.file:
            save_setting(self._paths.config_file, "map.file", str(path))

    # -- hours ------------------------------------------------------------------------------------

    def _hours(self, _: ask.GetHours) -> ask.HoursView:
        settings, held = self._load(), self._held()
        zone = ""
        if held.place:
            try:
                with look.look_into(settings, self._secrets, site_map(settings)) as seen:
                    zone = seen.facts.zone
            except AgentError as error:
                log.info("setup.zone_unknown", code=error.code)
        return ask.HoursView(
            settings.practice.hours,
            settings.practice.zone,
            zone,
            locked=place.is_locked(settings, "practice.hours"),
        )

    def _set_hours(self, wish: ask.SetHours) -> ask.SetupView:
        held, file = self._held(), self._paths.config_file
        self._paths.prepare()
        save_setting(file, "practice.hours", wish.hours)
        save_setting(file, "practice.zone", wish.zone)
        return self._keep(held, hours=True)

    # -- preview and end --------------------------------------------------------------------------

    def _preview(self, _: ask.GetPreview) -> ask.PreviewView:
        self._need(Step.PROOF)
        settings = self._load()
        datamap = site_map(settings)
        pairing = PairingStore(self._secrets).find()
        with look.look_into(settings, self._secrets, datamap) as seen:
            streams = look.counted(seen, datamap.streams)
            bad = tuple(f for f in seen.compiled.findings if f.severity is Severity.ERROR)
        total = sum(counted.rows for counted in streams)
        return ask.PreviewView(
            practice_name=pairing.practice_name if pairing is not None else "",
            url=settings.crm.url,
            kind=place.TITLES.get(settings.pms.kind, settings.pms.kind),
            streams=streams,
            total=total,
            skipped=tuple(sorted(settings.skipped_streams)),
            reads_s=total / ROWS_A_SECOND,
            writes=self._writes(settings),
            findings=bad,
        )

    def _finish(self, _: ask.FinishSetup) -> ask.SetupView:
        told = self.view()
        if told.next not in {None, Step.PREVIEW}:
            raise SetupError("setup.step_missing", step=told.next.value)
        is_first = not told.finished
        told = self._keep(self._held(), finished_at=self._clock.now())
        log.info("setup.finished", again=not is_first)
        self._on_finish()
        return told

    def _restart_engine(self, _: ask.RestartEngine) -> Done:
        if self._restart is None:
            raise SetupError("setup.no_engine")
        self._restart()
        return Done()

    def _need(self, step: Step) -> None:
        lines = {line.step: line.done for line in self.view().steps}
        if not lines[step]:
            raise SetupError("setup.step_missing", step=step.value)


_CHANGES = frozenset(
    {ask.PairByCode, ask.ConfirmPractice, ask.UsePms, ask.ConfirmProof, ask.SetScope,
     ask.SetPolicies, ask.SetHours, ask.FinishSetup, ask.RestartEngine}
)  # fmt: skip
