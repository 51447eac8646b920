"""What must hold between journal, PMS and CRM of the pull path, at every opening and at the end."""

from __future__ import annotations

from agent.journal.journal import Journal
from agent.journal.pulled import CommandState, EffectState
from tests.journal.oracle import query, structure_findings
from tests.journal.pullpath import SCRIPT, STREAM, PullWorld, hash_of


def recovery_findings(world: PullWorld, journal: Journal) -> list[str]:
    """Invariants whenever the journal is opened, before the agent recovers anything."""
    findings = [f for f in structure_findings(journal) if "neither agreed" not in f]
    pms, crm = world.pms, world.crm
    effects = journal.effects_recent(100)
    intended = {(name, value) for row in effects for name, value in row.after.items()}
    findings += [f"written without an intent: {w}" for w in pms.ledger if w not in intended]
    findings += [f"acknowledged and lost: {i}" for i in crm.acked if journal.command(i) is None]
    by_command = {row.command_id: row for row in effects}
    if len(by_command) < len(effects):
        findings.append("one command, two effect rows")
    for name, (_, expected, _) in SCRIPT.items():
        row = journal.command(name)
        told = crm.told[name]
        done = row is not None and row.state is CommandState.DONE
        terminal = [outcome for outcome in told if outcome.state.is_terminal]
        if terminal and (row is None or not done or row.outcome != terminal[-1]):
            findings.append(f"{name}: told an end that was not durable")
        if len(terminal) > 1:
            findings.append(f"{name}: two ends")
        effect = by_command.get(name)
        if effect is None:
            continue
        [written] = effect.after.items()
        if pms.ledger[written] > expected:
            findings.append(f"{name}: effect {pms.ledger[written]} times")
        if done and effect.state not in (EffectState.VERIFIED, EffectState.FAILED):
            findings.append(f"{name}: ended with its effect {effect.state}")
        if effect.state is not EffectState.VERIFIED:
            continue
        if not done or row is None or row.outcome is None:
            findings.append(f"{name}: verified without an outcome")
        if pms.ledger[written] != 1:
            findings.append(f"{name}: verified, in effect {pms.ledger[written]} times")
        held = {} if effect.key is None else journal.held(STREAM, [effect.key])
        if effect.key not in held:
            findings.append(f"{name}: verified without the mirror")
    ends = query(
        journal,
        "SELECT detail ->> 'command', count(*) FROM audit"
        " WHERE act IN ('command.applied', 'command.rejected') GROUP BY 1",
    )
    done_here = {name for name in SCRIPT if _is_done(journal, name)}
    if dict.fromkeys(done_here, 1) != dict(ends):
        findings.append(f"outcomes and their audit rows differ: {sorted(done_here)}, {ends}")
    return findings


def _is_done(journal: Journal, name: str) -> bool:
    row = journal.command(name)
    return row is not None and row.state is CommandState.DONE


def end_findings(world: PullWorld, journal: Journal) -> list[str]:
    """Invariants when everything has been done."""
    findings = recovery_findings(world, journal)
    numbers = journal.numbers(world.clock.now())
    if numbers.commands_waiting or numbers.effects_unknown or journal.effects_open():
        findings.append(f"not at rest: {numbers}")
    if journal.commands_unreported(1):
        findings.append("an outcome was not reported")
    for name, (command, expected, outcome) in SCRIPT.items():
        if not world.crm.told[name] or world.crm.told[name][-1] != outcome:
            findings.append(f"{name}: the CRM heard {world.crm.told[name]}")
        fields = command.payload.get("fields") or command.payload
        [written] = fields.items()
        if world.pms.ledger[written] != expected:
            findings.append(f"{name}: {world.pms.ledger[written]} effects, not {expected}")
    for key in (1, *(k for k in world.pms.rows if k > 6)):
        fields = world.pms.rows[key]
        held = journal.held(STREAM, [key]).get(key)
        by_hand = str(fields.get("note", "")).startswith("by hand")
        if not by_hand and (held is None or held.hash != hash_of(fields)):
            findings.append(f"the mirror of record {key} is not what the PMS holds")
    if world.epochs != sorted(set(world.epochs)):
        findings.append(f"epochs {world.epochs}")
    return findings
