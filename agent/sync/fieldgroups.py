"""Fields that people decide about together: who owns them, what a clash does. Pure.

A group is either for the practice to decide, or fixed by what kind of fact its fields are
(``merge.FieldClass``): identity, clinical and money always ask, of consent the stricter side holds,
and what is only ever added to cannot clash.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.model.streams import Stream
from agent.sync.datamap import DataMap
from agent.sync.maprows import MapRow, OnConflict, Owner, Way
from agent.sync.merge import ALWAYS_ASK, FieldClass, class_of
from agent.sync.sitemap import Edits

_PATIENT = {
    "contact": ("phone_mobile", "phone_home", "phone_work", "emails"),
    "address": ("address", "address2", "city", "state", "postal_code"),
    "preferences": ("preferred_contact", "preferred_confirm", "preferred_recall", "language",
                    "preferred_name", "title", "marital_status"),
}  # fmt: skip
_APPOINTMENT = {
    "visit_place": ("start", "end", "minutes", "provider_key", "hygienist_key", "operatory_key",
                    "type_key"),
    "visit_status": ("status", "confirmation_key", "is_new_patient", "is_hygiene", "priority"),
    "visit_note": ("note",),
}  # fmt: skip
_GROUP_OF = {
    **{(Stream.PATIENT, name): g for g, names in _PATIENT.items() for name in names},
    **{(Stream.APPOINTMENT, name): g for g, names in _APPOINTMENT.items() for name in names},
}
_OF_STREAM = {Stream.RECALL: "recall"}
ORDER = ("contact", "address", "preferences", "visit_status", "visit_place", "visit_note",
         "recall", "custom", "other", "identity", "consent", "clinical", "added")  # fmt: skip
FIXED = {
    "identity": "setup.group_asks",
    "consent": "setup.group_stricter",
    "clinical": "setup.group_asks",
    "added": "setup.group_added",
}
POLICIES = (OnConflict.ASK, OnConflict.PMS, OnConflict.CRM)
MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class Group:
    """``policy``: of its fields, MIXED where they differ; lists that merge are left out of that."""

    name: str
    rows: tuple[MapRow, ...]

    @property
    def owner(self) -> str:
        return _common([row.owner.value for row in self.rows])

    @property
    def policy(self) -> str:
        asked = [row for row in self.rows if row.on_conflict in POLICIES]
        return _common([row.on_conflict.value for row in asked]) if asked else "ask"


def groups_of(datamap: DataMap) -> list[Group]:
    """Every field the CRM may change, in groups, in the order people are asked."""
    found: dict[str, list[MapRow]] = {}
    for row in datamap.rows:
        if row.is_mapped and row.direction is Way.BOTH:
            found.setdefault(group_of(row), []).append(row)
    return [Group(name, tuple(found[name])) for name in ORDER if name in found]


def group_of(row: MapRow) -> str:
    kind = class_of(row.stream, row.field)
    if row.on_conflict is OnConflict.APPEND:
        return "added"
    if kind is FieldClass.CONSENT:
        return "consent"
    if kind in ALWAYS_ASK:
        return "identity" if kind is FieldClass.IDENTITY else "clinical"
    if row.field.partition(".")[0] == "custom":
        return "custom"
    return _GROUP_OF.get((row.stream, row.field)) or _OF_STREAM.get(row.stream, "other")


def decided(group: Group, owner: Owner, policy: str) -> Edits:
    """The edits that make a group so. Lists that merge go on merging while both sides may change
    them and the policy asks. ValueError for a fixed group or a policy people may not choose."""
    if group.name in FIXED:
        raise ValueError(group.name)
    if policy != MIXED and OnConflict(policy) not in POLICIES:
        raise ValueError(policy)
    edits: dict[tuple[Stream, str], dict[str, str]] = {}
    for row in group.rows:
        edit = {"owner": owner.value}
        is_list = row.on_conflict not in POLICIES
        if policy != MIXED and not (is_list and policy == OnConflict.ASK):
            edit["on_conflict"] = policy
        edits[row.stream, row.field] = edit
    return edits


def _common(values: Sequence[str]) -> str:
    return values[0] if len(set(values)) == 1 else MIXED
