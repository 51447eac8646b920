"""What the practice's own database saw, held against what the CRM's people asked for. Pure.

An edit's value is unlike every other, so each can be followed: it must have been written once if it
was applied, and never otherwise; and what it replaced must be what its person saw, or something the
CRM itself had asked for before. A value typed in the practice that was replaced unseen is a silent
overwrite: the product promises to ask a person instead.

Open Dental's API writes on no condition: what is typed between the agent's last look and the API's
own write, a moment of one call, is replaced. Those are counted by themselves.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tests.e2e.crm_side import Asked
from tests.e2e.two_sided import Wrong
from tests.kill.rig import Write


class Judged(NamedTuple):
    wrong: list[Wrong]
    raced: int  # replaced within the moment of writing


def judge(
    writes: Sequence[Write],
    edits: Sequence[Asked],
    states: Mapping[str, str],
    now: Callable[[str], str | None],
    moment_s: float = 0.0,
) -> Judged:
    """``edits``: every one ever asked for; those in ``states`` (by command id) ended as told there.
    ``now``: what stands in a patient's line at the end; ``moment_s``: the longest that one call of
    the writer may take here, 0 where it writes on the condition that nothing changed.

    A server killed between a row and the witness's line loses the line (MyISAM has no
    transactions): a value also counts as written when it was replaced later, or still stands.
    """
    by_value = {edit.value: edit for edit in edits}
    ours = Counter(write.new for write in writes if write.is_ours)
    replaced = {(write.key, write.old) for write in writes}
    typed = {(write.key, write.new): write.at for write in writes if not write.is_ours}
    wrong, raced = [], 0
    for write in writes:
        if not write.is_ours:
            continue
        edit = by_value.get(write.new)
        if edit is None:
            wrong.append(Wrong("silent", f"patient {write.key}: a line nobody asked for"))
        elif write.old != edit.shown and write.old not in by_value:
            if write.at - typed.get((write.key, write.old), -math.inf) < moment_s:
                raced += 1
            else:
                wrong.append(Wrong("silent", f"edit {edit.command_id}: replaced what nobody saw"))
    wrong += [Wrong("twice", f"{value} written {n} times") for value, n in ours.items() if n > 1]
    for edit in edits:
        state = states.get(edit.command_id)
        is_there = edit.value in ours or (edit.key, edit.value) in replaced
        if state == "applied" and not is_there and now(edit.key) != edit.value:
            wrong.append(Wrong("lost", f"edit {edit.command_id}: applied, never was there"))
        elif state in ("rejected", "expired") and is_there:
            wrong.append(Wrong("twice", f"edit {edit.command_id}: {state}, and yet written"))
    return Judged(wrong, raced)
