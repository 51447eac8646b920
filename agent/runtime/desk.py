"""The desk: everything a person may do to the running agent, in domain words.

One method a request of ``agent.model.desk``. The window and the command line come here, through the
control channel or (without a running agent) in their own process; who may ask what is checked by
the channel. The desk decides nothing about records: it reads the journal and calls the rooms that
do, whose faces stand in ``desk_rooms``. Without a room (no agent runs) what needs it is refused
with ``desk.needs_agent``.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from agent.control.server import Caller, Offer
from agent.journal.pulled import CommandState, ConflictState, ContactState, EffectRow, Winner
from agent.journal.pulled import TaskState as TaskStates
from agent.model import desk as ask
from agent.model import mapping, review
from agent.model.asking import MOST, Done, Request, Settled, Settlement
from agent.model.status import Report
from agent.runtime import desk_views as views
from agent.runtime.desk_records import RecordsDesk
from agent.runtime.desk_rooms import (
    Answers,
    DeskError,
    Rooms,
    T,
    bounded,
    domain,
    each,
    found,
    needed,
    stated,
    word,
)
from agent.sync.switches import DESK

BY_HAND = "booking.by_hand"  # why booking is suspended when a person did it


class Desk:
    """Thread-safe as far as its rooms are."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._journal = rooms.journal
        self._answers: Answers = {
            ask.GetStatus: self._status,
            ask.Pause: self._pause,
            ask.Resume: self._resume,
            ask.AllowBrakes: self._allow_brakes,
            ask.AcceptSource: self._accept_source,
            review.ListConflicts: self._list_conflicts,
            review.ShowConflict: self._show_conflict,
            review.ResolveConflicts: self._resolve,
            review.UndoResolutions: self._undo_resolutions,
            review.ListPolicies: self._list_policies,
            review.ForgetPolicy: self._forget_policy,
            review.ListContacts: self._list_contacts,
            review.ShowContact: self._show_contact,
            review.ApproveContact: self._approve,
            review.RejectContact: self._reject,
            review.MergeContacts: self._merge,
            review.UnmergeContact: self._unmerge,
            review.ListTasks: self._list_tasks,
            review.ShowTask: self._show_task,
            review.CloseTasks: self._close_tasks,
            review.ListEffects: self._list_effects,
            review.SettleEffect: self._settle_effect,
            review.PreviewUndo: self._preview_undo,
            review.ApplyUndo: self._apply_undo,
            ask.GetSafety: self._safety,
            ask.SetSafety: self._set_safety,
            ask.SuspendBooking: self._suspend,
            ask.ClearSuspension: self._clear,
            ask.ListCommands: self._list_commands,
            ask.ShowCommand: self._show_command,
            ask.VerifyAudit: self._verify_audit,
            mapping.ShowMap: self._show_map,
            mapping.EditMap: self._edit_map,
            mapping.ExportMap: self._export_map,
            **RecordsDesk(rooms).answers,
            **rooms.beside,
            **(rooms.looks.answers() if rooms.looks is not None else {}),
        }

    def offers(self) -> list[Offer]:
        """For the control server."""
        return [Offer(kind, answer) for kind, answer in self._answers.items()]

    def answer(self, request: Request[T], caller: Caller) -> T:
        """AgentError: why not. Roles are the channel's to check."""
        answered: T = self._answers[type(request)](request, caller)  # type: ignore[assignment]
        return answered

    # -- status -----------------------------------------------------------------------------------

    def _status(self, _: ask.GetStatus, __: Caller) -> Report:
        return self._rooms.report()

    def _pause(self, wish: ask.Pause, caller: Caller) -> Done:
        if wish.until.tzinfo is None:
            raise DeskError("desk.bad_value", name="until", allowed="an instant with its zone")
        self._rooms.set_pause(wish.until)
        self._note("desk.paused", caller)
        return Done()

    def _resume(self, _: ask.Resume, caller: Caller) -> ask.Resumed:
        was = self._rooms.set_pause(None)
        if was:
            self._note("desk.resumed", caller)
        return ask.Resumed(was)

    def _allow_brakes(self, wish: ask.AllowBrakes, caller: Caller) -> Settlement:
        brakes = needed(self._rooms.brakes)
        brakes.allow(wish.streams, for_s=min(max(wish.for_s, 1.0), 86_400.0))
        for stream in wish.streams:
            self._note("desk.brake_allowed", caller, stream=stream.value)
        return Settlement(tuple(Settled(stream.value) for stream in wish.streams))

    def _accept_source(self, _: ask.AcceptSource, caller: Caller) -> Done:
        needed(self._rooms.accept_source)()
        self._note("desk.source_accepted", caller)
        return Done()

    # -- conflicts --------------------------------------------------------------------------------

    def _list_conflicts(self, wish: review.ListConflicts, _: Caller) -> review.ConflictPage:
        limit = bounded(wish.limit)
        state = stated(ConflictState, wish.state)
        rows = self._journal.conflicts(state, limit + 1, wish.before)
        lines = tuple(views.conflict_line(row) for row in rows[:limit])
        return review.ConflictPage(lines, len(rows) > limit)

    def _show_conflict(self, wish: review.ShowConflict, _: Caller) -> review.ConflictView:
        row = self._journal.conflict(wish.number)
        return views.conflict_view(self._journal, found(row, "conflict", wish.number))

    def _resolve(self, wish: review.ResolveConflicts, caller: Caller) -> Settlement:
        resolver = needed(self._rooms.resolver)
        winner = word(Winner, wish.winner, "winner")
        if wish.remember and winner not in {Winner.PMS, Winner.CRM}:
            raise DeskError("desk.bad_value", name="winner", allowed="pms or crm, to be remembered")

        def resolve(number: int) -> None:
            found(self._journal.conflict(number), "conflict", number)
            resolver.resolve(number, winner, wish.value, actor=caller.name, remember=wish.remember)

        return each(wish.numbers, resolve)

    def _undo_resolutions(self, wish: review.UndoResolutions, caller: Caller) -> Settlement:
        resolver = needed(self._rooms.resolver)

        def undo(number: int) -> None:
            found(self._journal.conflict(number), "conflict", number)
            resolver.undo(number, actor=caller.name)

        return each(wish.numbers, undo)

    def _list_policies(self, _: review.ListPolicies, __: Caller) -> review.PolicyPage:
        rows = self._journal.policy_rows()
        return review.PolicyPage(
            tuple(
                review.PolicyLine(row.stream, row.field, row.winner.value, row.actor, row.at)
                for row in rows
            )
        )

    def _forget_policy(self, wish: review.ForgetPolicy, caller: Caller) -> Done:
        if (wish.stream, wish.field) not in self._journal.policies():
            raise DeskError("desk.not_found", what="remembered choice", id=wish.field)
        with needed(self._rooms.turn)() as turn:
            turn.forget_policy(wish.stream, wish.field, caller.name)
        return Done()

    # -- contacts ---------------------------------------------------------------------------------

    def _list_contacts(self, wish: review.ListContacts, _: Caller) -> review.ContactPage:
        limit = bounded(wish.limit)
        rows = self._journal.contacts(stated(ContactState, wish.state), limit + 1, wish.after)
        lines = tuple(views.contact_line(row) for row in rows[:limit])
        return review.ContactPage(lines, len(rows) > limit)

    def _show_contact(self, wish: review.ShowContact, _: Caller) -> review.ContactView:
        row = self._journal.contact(wish.cloud_id)
        return views.contact_view(self._journal, found(row, "contact", wish.cloud_id))

    def _approve(self, wish: review.ApproveContact, caller: Caller) -> Done:
        self._known(wish.cloud_id)
        with domain("match.not_possible"):
            needed(self._rooms.linker).approve(wish.cloud_id, wish.key, actor=caller.name)
        return Done()

    def _reject(self, wish: review.RejectContact, caller: Caller) -> Done:
        row = found(self._journal.contact(wish.cloud_id), "contact", wish.cloud_id)
        keys = wish.keys or views.contact_line(row).candidates
        with domain("match.not_possible"):
            needed(self._rooms.linker).reject(wish.cloud_id, keys, actor=caller.name)
        return Done()

    def _merge(self, wish: review.MergeContacts, caller: Caller) -> Done:
        self._known(wish.cloud_id)
        self._known(wish.into)
        if wish.cloud_id == wish.into:
            raise DeskError("desk.bad_value", name="into", allowed="another contact")
        with domain("match.not_possible"):
            needed(self._rooms.linker).merge(wish.cloud_id, wish.into, actor=caller.name)
        return Done()

    def _unmerge(self, wish: review.UnmergeContact, caller: Caller) -> Done:
        self._known(wish.cloud_id)
        with domain("match.not_possible"):
            needed(self._rooms.linker).unmerge(wish.cloud_id, actor=caller.name)
        return Done()

    def _known(self, cloud_id: str) -> None:
        found(self._journal.contact(cloud_id), "contact", cloud_id)

    # -- desk tasks -------------------------------------------------------------------------------

    def _list_tasks(self, wish: review.ListTasks, _: Caller) -> review.TaskPage:
        limit = bounded(wish.limit)
        rows = self._journal.tasks(stated(TaskStates, wish.state), limit + 1)
        return review.TaskPage(
            tuple(views.task_line(row) for row in rows[:limit]), len(rows) > limit
        )

    def _show_task(self, wish: review.ShowTask, _: Caller) -> review.TaskView:
        row = found(self._journal.task(wish.number), "task", wish.number)
        siblings = [t for t in self._journal.tasks_of(row.command_id) if t.number != row.number]
        return views.task_view(self._journal, row, siblings)

    def _close_tasks(self, wish: review.CloseTasks, caller: Caller) -> Settlement:
        closer = needed(self._rooms.closer)
        if wish.key is not None and (not wish.done or len(wish.numbers) != 1):
            raise DeskError("desk.bad_value", name="key", allowed="with one task that is done")

        def close(number: int) -> None:
            row = found(self._journal.task(number), "task", number)
            if row.state is not TaskStates.OPEN:
                raise DeskError("desk.not_open")
            closer.close_task(
                number, done=wish.done, actor=caller.name, note=wish.note[:500], key=wish.key
            )

        return each(wish.numbers, close)

    # -- effects and undo -------------------------------------------------------------------------

    def _list_effects(self, wish: review.ListEffects, _: Caller) -> review.EffectPage:
        limit = bounded(wish.limit)
        if wish.unknown:
            rows = self._journal.effects_unknown()[: limit + 1]
        else:
            rows = self._journal.effects_recent(limit + 1, wish.before)
        lines = tuple(views.effect_line(row) for row in rows[:limit])
        return review.EffectPage(lines, len(rows) > limit)

    def _settle_effect(self, wish: review.SettleEffect, caller: Caller) -> Done:
        found(self._journal.effect(wish.number), "write", wish.number)
        with domain():
            needed(self._rooms.closer).settle_effect(
                wish.number, happened=wish.happened, key=wish.key, actor=caller.name
            )
        return Done()

    def _preview_undo(self, wish: review.PreviewUndo, _: Caller) -> review.UndoPlan:
        undoer = needed(self._rooms.undoer)
        return self._told(undoer.preview(self._scoped(wish.scope)))

    def _apply_undo(self, wish: review.ApplyUndo, caller: Caller) -> review.UndoPlan:
        undoer = needed(self._rooms.undoer)
        return self._told(undoer.apply(self._scoped(wish.scope), actor=caller.name))

    def _scoped(self, scope: review.UndoScope) -> list[EffectRow]:
        """Newest first."""
        if sum((bool(scope.numbers), bool(scope.group), scope.since is not None)) != 1:
            raise DeskError("desk.bad_value", name="scope", allowed="numbers, a group or a time")
        if scope.numbers:
            rows = [
                found(self._journal.effect(number), "write", number)
                for number in sorted(set(scope.numbers), reverse=True)
            ]
        elif scope.group:
            rows = self._journal.effects_of(scope.group)[::-1]
            found(rows or None, "command", scope.group)
        else:
            assert scope.since is not None
            rows = self._journal.effects_since(scope.since)
        if len(rows) > MOST:
            raise DeskError("desk.too_many", count=len(rows), most=MOST)
        return rows

    def _told(self, steps: Sequence[review.UndoStep]) -> review.UndoPlan:
        named = [
            msgspec.structs.replace(step, who=views.who(self._journal, step.stream, step.key))
            for step in steps
        ]
        return review.UndoPlan(tuple(named))

    # -- safety -----------------------------------------------------------------------------------

    def _safety(self, _: ask.GetSafety, __: Caller) -> ask.SafetyView:
        return needed(self._rooms.safety).view()

    def _set_safety(self, wish: ask.SetSafety, caller: Caller) -> ask.SafetyView:
        safety = needed(self._rooms.safety)
        safety.say(DESK, safety.desk_switch(wish.mode, wish.canary), caller.name)
        return safety.view()

    def _suspend(self, _: ask.SuspendBooking, caller: Caller) -> ask.SafetyView:
        safety = needed(self._rooms.safety)
        safety.suspend(BY_HAND, caller.name)
        return safety.view()

    def _clear(self, _: ask.ClearSuspension, caller: Caller) -> ask.SafetyView:
        safety = needed(self._rooms.safety)
        safety.clear(caller.name)
        return safety.view()

    # -- commands and audit -----------------------------------------------------------------------

    def _list_commands(self, wish: ask.ListCommands, _: Caller) -> ask.CommandPage:
        states = [word(CommandState, name, "state") for name in wish.states] or None
        rows = self._journal.commands_recent(bounded(wish.limit), states)
        counts = {state.value: n for state, n in self._journal.command_counts().items()}
        return ask.CommandPage(tuple(views.command_line(row) for row in rows), counts)

    def _show_command(self, wish: ask.ShowCommand, _: Caller) -> ask.CommandView:
        row = found(self._journal.command(wish.command_id), "command", wish.command_id)
        journal = self._journal
        conflicts = journal.conflicts_of(wish.command_id)
        tasks = journal.tasks_of(wish.command_id)
        return ask.CommandView(
            views.command_line(row),
            tuple(views.effect_line(effect) for effect in journal.effects_of(wish.command_id)),
            tuple(c.number for c in conflicts if c.state is ConflictState.OPEN),
            tuple(task.number for task in tasks if task.state is TaskStates.OPEN),
        )

    def _verify_audit(self, wish: ask.VerifyAudit, _: Caller) -> ask.AuditVerdict:
        try:
            findings = self._rooms.verify_audit(wish.anchor)
        except ValueError:
            raise DeskError("desk.bad_value", name="anchor", allowed="an audit head") from None
        return ask.AuditVerdict(not findings, tuple(findings), self._journal.audit_head())

    # -- data map ---------------------------------------------------------------------------------

    def _show_map(self, _: mapping.ShowMap, __: Caller) -> mapping.MapView:
        return needed(self._rooms.chart).show()

    def _edit_map(self, wish: mapping.EditMap, caller: Caller) -> mapping.EditedMap:
        edited = needed(self._rooms.chart).edit(wish)
        if edited.saved:
            fields = sorted({f"{d.stream}.{d.field}" for d in edited.differences})
            self._note("map.edited", caller, fields=", ".join(fields)[:400])
        return edited

    def _export_map(self, wish: mapping.ExportMap, _: Caller) -> mapping.ExportedMap:
        return needed(self._rooms.chart).export(wish.kind)

    def _note(self, act: str, caller: Caller, **facts: str) -> None:
        """Who did it, in the chain; reading desks have nothing to write to."""
        if self._rooms.turn is not None:
            with self._rooms.turn() as turn:
                turn.audit(act, {"actor": caller.name, **facts})
