"""Which faults struck in which state of an operation and in which lane; what was reachable and was
not reached."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from tests.sim.faults import ELSEWHERE, MOMENTS, Kind

STATES = ("down", "starting", "loading", "steady", "sent", "effect-open", "in-turn")
#: lanes by what they do: the rungs of reading, pushing, the pull
LANES = ("watch", "bulk", "load-read", "push", "pull", "tell", "apply", "people", "chores", "fate",
         "desk")  # fmt: skip
_PMS = frozenset({"watch", "bulk", "load-read", "apply", "people"})
_CRM = frozenset({"push", "pull", "tell", "people", "chores", "bulk"})
_ANY_CALL = _PMS | _CRM
_CRM_KINDS = frozenset(
    {Kind.REFUSE, Kind.RESET_BEFORE, Kind.TOO_MANY, Kind.CAPTIVE, Kind.TOKEN, Kind.CRM_SCHEMA,
     Kind.RESET_AFTER, Kind.TIMEOUT_AFTER, Kind.SERVER_ERROR, Kind.BROKEN_BODY}
)  # fmt: skip
_WHO: dict[Kind, frozenset[str]] = {
    Kind.NO_MEMORY: _ANY_CALL,
    Kind.WORKER_ERROR: _ANY_CALL,
    **dict.fromkeys((Kind.HANG, Kind.LOCK_WAIT, Kind.CURSOR_DROP), _PMS),
    **dict.fromkeys(_CRM_KINDS, _CRM),
    **dict.fromkeys((Kind.PARTIAL, Kind.ITEM_MISSING), frozenset({"push"})),
    **dict.fromkeys((Kind.DUPLICATE, Kind.REORDER), frozenset({"pull"})),
    Kind.FEED_GAP: frozenset({"people"}),
    **dict.fromkeys((Kind.API_UNKNOWN, Kind.RACING_EDIT, Kind.NORMALISES), frozenset({"apply"})),
    Kind.HALF_BUILT: frozenset({"apply", "desk"}),
    **dict.fromkeys((Kind.LATE_VISIBLE, Kind.NO_STAMP, Kind.UNLOGGED_DELETE), frozenset({"desk"})),
    **dict.fromkeys(MOMENTS, frozenset({"fate"})),
}  # fmt: skip
#: states a lane can be in when something strikes it; elsewhere the cell is empty by nature
_WHEN: dict[str, frozenset[str]] = {
    "watch": frozenset({"starting", "loading", "steady", "sent", "effect-open"}),
    "bulk": frozenset({"loading", "steady", "sent", "effect-open"}),
    "load-read": frozenset({"loading", "sent"}),
    "push": frozenset({"sent"}),
    "pull": frozenset({"starting", "loading", "steady", "sent", "effect-open"}),
    "tell": frozenset({"steady", "sent", "effect-open"}),
    "apply": frozenset({"starting", "steady", "sent", "effect-open"}),
    "people": frozenset({"starting", "loading", "steady", "sent", "effect-open"}),
    "chores": frozenset({"steady", "sent", "effect-open"}),
    "fate": frozenset({"down", "starting", "loading", "steady", "sent", "effect-open"}),
    "desk": frozenset({"down", "starting", "loading", "steady", "sent", "effect-open"}),
}
#: cells nothing can reach: (kinds, states, lane, why)
UNREACHABLE: tuple[tuple[frozenset[Kind], frozenset[str], str, str], ...] = (
    (
        frozenset({Kind.API_UNKNOWN, Kind.RACING_EDIT, Kind.NORMALISES}),
        frozenset({"starting", "loading", "steady"}), "apply",
        "what is being written is an open effect",
    ),
    (
        frozenset({Kind.HALF_BUILT}),
        frozenset({"starting", "loading", "steady", "sent"}), "apply",
        "the API builds a patient in the middle of an open effect",
    ),
    (
        _CRM_KINDS, frozenset({"loading"}), "bulk",
        "this lane speaks to the CRM only to compare with it, once the load is done",
    ),
)  # fmt: skip


def lane_of(task: str) -> str:
    if (task[:1] in "pc" and task[1:].isdigit()) or task in ("late", "api-late"):
        return "desk"
    return task


def reachable() -> set[tuple[str, str, str]]:
    return {
        (kind.value, state, lane)
        for kind, lanes in _WHO.items()
        if kind not in ELSEWHERE
        for lane in lanes
        for state in _WHEN[lane]
        if not any(
            kind in kinds and state in states and lane == there
            for kinds, states, there, _ in UNREACHABLE
        )
    }


@cache
def _cells() -> list[tuple[str, str, str]]:
    return sorted(reachable())


def aim_of(seed: int) -> tuple[Kind, str, str]:
    """The cell a seed aims at: each in its turn."""
    kind, state, lane = _cells()[seed % len(_cells())]
    return Kind(kind), state, lane


def unreached(hits: Mapping[tuple[str, str, str], int]) -> list[tuple[str, str, str]]:
    return sorted(cell for cell in reachable() if not hits.get(cell))


def table(hits: Mapping[tuple[str, str, str], int]) -> str:
    """Kinds down, states across, strikes in the cells; then what is reachable and was not hit."""
    lines = [f"{'fault':16}" + "".join(f"{state:>12}" for state in STATES) + f"{'lanes':>8}"]
    for kind in Kind:
        if kind in ELSEWHERE:
            lines.append(f"{kind.value:16}  {ELSEWHERE[kind]}")
            continue
        cells = [sum(n for (k, s, _), n in hits.items() if k == kind and s == state)
                 for state in STATES]  # fmt: skip
        lanes = len({lane for (k, _, lane), n in hits.items() if k == kind and n})
        lines.append(f"{kind.value:16}" + "".join(f"{n:>12}" for n in cells) + f"{lanes:>8}")
    missed = unreached(hits)
    lines.append(f"reachable cells: {len(reachable())}, not reached: {len(missed)}")
    lines += [f"  {kind} / {state} / {lane}" for kind, state, lane in missed]
    lines += [
        f"cannot be reached: {', '.join(sorted(kinds))} / {', '.join(sorted(states))} / {lane}:"
        f" {why}"
        for kinds, states, lane, why in UNREACHABLE
    ]
    return "\n".join(lines)
