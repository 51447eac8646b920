"""Which faults struck in which state of an operation and in which lane; what was reachable and was
not reached."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from tests.sim.faults import ELSEWHERE, MOMENTS, NOT_YET, Kind

STATES = ("down", "starting", "loading", "steady", "sent", "effect-open", "in-turn")
#: lanes by what they do: the rungs of reading, pushing, the pull
LANES = ("watch", "bulk", "load-read", "push", "pull", "tell", "apply", "people", "chores", "fate",
         "desk")  # fmt: skip
_PMS = frozenset({"watch", "bulk", "load-read", "apply", "people"})
_CRM = frozenset({"push", "pull", "tell", "people", "chores", "bulk"})
_ANY_CALL = _PMS | _CRM
_WHO: dict[Kind, frozenset[str]] = {
    Kind.NO_MEMORY: _ANY_CALL,
    Kind.WORKER_ERROR: _ANY_CALL,
    **dict.fromkeys((Kind.HANG, Kind.LOCK_WAIT, Kind.CURSOR_DROP), _PMS),
    **dict.fromkeys(
        (Kind.REFUSE, Kind.RESET_BEFORE, Kind.TOO_MANY, Kind.CAPTIVE, Kind.TOKEN, Kind.CRM_SCHEMA,
         Kind.RESET_AFTER, Kind.TIMEOUT_AFTER, Kind.SERVER_ERROR, Kind.BROKEN_BODY),
        _CRM,
    ),
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
#: what a lane never calls in a state, seen from the code
_NEVER = {
    (lane, state)
    for lane, states in {"apply": ("loading",), "tell": ("loading", "starting")}.items()
    for state in states
}


def lane_of(task: str) -> str:
    if (task[:1] in "pc" and task[1:].isdigit()) or task in ("late", "api-late"):
        return "desk"
    return task


def reachable() -> set[tuple[str, str, str]]:
    return {
        (kind.value, state, lane)
        for kind, lanes in _WHO.items()
        if kind not in ELSEWHERE and kind not in NOT_YET
        for lane in lanes
        for state in _WHEN[lane]
        if (lane, state) not in _NEVER
        and not (kind in (Kind.API_UNKNOWN, Kind.RACING_EDIT, Kind.NORMALISES)
                 and state in ("starting", "loading", "steady"))
        and not (kind is Kind.HALF_BUILT and lane == "apply" and state != "effect-open")
    }  # fmt: skip


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
        if kind in ELSEWHERE or kind in NOT_YET:
            lines.append(f"{kind.value:16}  {ELSEWHERE.get(kind, 'not simulated yet')}")
            continue
        cells = [sum(n for (k, s, _), n in hits.items() if k == kind and s == state)
                 for state in STATES]  # fmt: skip
        lanes = len({lane for (k, _, lane), n in hits.items() if k == kind and n})
        lines.append(f"{kind.value:16}" + "".join(f"{n:>12}" for n in cells) + f"{lanes:>8}")
    missed = unreached(hits)
    lines.append(f"reachable cells: {len(reachable())}, not reached: {len(missed)}")
    lines += [f"  {kind} / {state} / {lane}" for kind, state, lane in missed]
    return "\n".join(lines)
