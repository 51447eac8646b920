"""Front-desk life in a vendor's layout: the same pace and the same reports, other deeds."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from agent.sandbox.practice.front import DeedKind
from agent.sandbox.practice.life import USUAL_MIX, Life
from agent.sandbox.practice.vendors import dentrix_life, eaglesoft_life
from agent.sandbox.practice.vendors.db import VendorDb

MIX: Mapping[DeedKind, float] = {**USUAL_MIX, DeedKind.PARK: 2}
_DESKS: dict[str, tuple[Any, Mapping[DeedKind, Any]]] = {
    "dentrix": (dentrix_life.DentrixFront, dentrix_life.ACTIONS),
    "eaglesoft": (eaglesoft_life.EaglesoftFront, eaglesoft_life.ACTIONS),
}


class VendorLife(Life):
    """``layout``: dentrix or eaglesoft; ``db`` counts what was written."""

    def __init__(
        self,
        db: VendorDb,
        layout: str,
        *,
        zone: str,
        seed: int = 1,
        mix: Mapping[DeedKind, float] = MIX,
    ) -> None:
        make, actions = _DESKS[layout]
        rng = Random(f"life:{layout}:{seed}")
        known = {kind: weight for kind, weight in mix.items() if kind in actions}
        super().__init__(db, mix=known, front=make(db, rng, zone), actions=actions, rng=rng)
