"""People and a booking AI at work in the CRM, over its page's own API, and what they are owed.

Nothing of the agent is imported: the CRM's answers and the practice's rows are the only witnesses.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any, Self

import httpx

SETTLED = frozenset({"complete", "broken", "note", "arrived", "seated"})  # looks of visits
KINDS = ("book", "confirm", "move", "cancel", "edit", "note")  # of requests
ENDED = frozenset({"applied", "rejected", "expired", "superseded"})


class CrmDesk:
    """One person's (or program's) connection to the CRM page's API."""

    def __init__(self, url: str) -> None:
        headers = {"X-Bridgework-Page": "1"}
        self.refusals: Counter[str] = Counter()  # reasons of what was refused at once
        self._http = httpx.Client(base_url=url, headers=headers, timeout=60.0, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, **query: object) -> dict[str, Any]:
        answer = self._http.get(f"/app/api/{path}", params={k: str(v) for k, v in query.items()})
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def ask(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """A new command's view; None when the CRM refuses it at once (the usual reasons)."""
        answer = self._http.post(f"/app/api/{path}", json=body)
        if answer.status_code == 409:
            self.refusals[answer.json().get("reason_code", "")] += 1
            return None
        answer.raise_for_status()
        made: dict[str, Any] = answer.json()
        return made

    def slots(self, first: date, *, minutes: int = 30, days: int = 14) -> list[dict[str, Any]]:
        found = self.get("slots", date=first, minutes=minutes, days=days, limit=500)
        slots: list[dict[str, Any]] = found["slots"]
        return slots

    def command(self, command_id: str, *, wait_s: int = 0) -> dict[str, Any]:
        return self.get(f"commands/{command_id}", wait_s=wait_s)

    def ended(self, command_id: str, timeout_s: float) -> dict[str, Any]:
        """The command's view once it ended; its last one when it did not in time."""
        deadline = time.monotonic() + timeout_s
        while True:
            view = self.command(command_id, wait_s=5)
            if view["state"] in ENDED or time.monotonic() > deadline:
                return view
            time.sleep(0.05)


@dataclass(slots=True)
class Asked:
    """Something asked of the practice. ``token`` stands in the record it makes, if any; ``value``
    is what an edit wants to stand there, ``shown`` what its person saw instead."""

    kind: str
    command_id: str
    token: str = ""
    key: str = ""
    value: str = ""
    shown: str = ""


@dataclass(slots=True)
class CrmLife:
    """Somebody working in the CRM at ``rate`` requests a second until told to stop.

    Books (with a token in the note), moves, confirms and cancels visits, edits addresses (no value
    twice), adds notes; what the CRM refuses at once is only counted. ``kinds``: no others.
    """

    url: str
    seed: int
    rate: float
    kinds: Collection[str] = KINDS
    asked: list[Asked] = field(default_factory=list)
    tried: list[Asked] = field(default_factory=list)  # edits, also those nobody answered
    refused: Counter[str] = field(default_factory=Counter)  # reasons

    def run(self, stop: threading.Event) -> None:
        rng = Random(f"crm-life:{self.seed}")
        acts: dict[str, tuple[Callable[[CrmDesk, Random], Asked | None], int]] = {
            "book": (self._book, 8), "confirm": (self._confirm, 4), "move": (self._move, 2),
            "cancel": (self._cancel, 1), "edit": (self._edit, 3), "note": (self._note, 2),
        }  # fmt: skip
        choices, weights = zip(*(acts[kind] for kind in self.kinds), strict=True)
        with CrmDesk(self.url) as desk:
            while not stop.wait(rng.expovariate(self.rate)):
                (act,) = rng.choices(choices, weights)
                try:
                    made = act(desk, rng)
                except httpx.HTTPError:  # the CRM is being troubled on purpose
                    continue
                if made is not None:
                    self.asked.append(made)
            self.refused = desk.refusals

    # --- what they do ----------------------------------------------------------------------------

    def _patient(self, desk: CrmDesk, rng: Random) -> str | None:
        found = desk.get("patients", q=rng.choice("aeioust"), limit=50)["people"]
        return rng.choice(found)["key"] if found else None

    def _visit(self, desk: CrmDesk, rng: Random) -> dict[str, Any] | None:
        day = datetime.now(UTC).date() + timedelta(days=rng.randint(1, 10))
        visits = [
            visit
            for visit in desk.get("day", date=day)["visits"]
            if visit["look"] not in SETTLED and visit["pending"] is None
        ]
        return rng.choice(visits) if visits else None

    def _book(self, desk: CrmDesk, rng: Random) -> Asked | None:
        patient = self._patient(desk, rng)
        slots = desk.slots(datetime.now(UTC).date() + timedelta(days=rng.randint(1, 9)), days=2)
        if patient is None or not slots:
            return None
        token = f"req-{uuid.uuid4().hex[:12]}"
        slot = rng.choice(slots)
        body = {"patient": {"key": patient}, "note": token, "minutes": slot["minutes"],
                "start": slot["start"], "operatory_key": slot["operatory_key"],
                "provider_key": slot["provider_key"]}  # fmt: skip
        return self._made("book", desk.ask("book", body), token=token)

    def _confirm(self, desk: CrmDesk, rng: Random) -> Asked | None:
        visit = self._visit(desk, rng)
        if visit is None:
            return None
        body = {"confirmation_category": "confirmed"}
        return self._made("confirm", desk.ask(f"visits/{visit['key']}/confirm", body))

    def _move(self, desk: CrmDesk, rng: Random) -> Asked | None:
        visit = self._visit(desk, rng)
        slots = desk.slots(datetime.now(UTC).date() + timedelta(days=rng.randint(1, 9)), days=2)
        if visit is None or not slots:
            return None
        slot = rng.choice(slots)
        body = {name: slot[name] for name in ("start", "operatory_key", "provider_key")}
        return self._made("move", desk.ask(f"visits/{visit['key']}/move", body))

    def _cancel(self, desk: CrmDesk, rng: Random) -> Asked | None:
        visit = self._visit(desk, rng)
        if visit is None:
            return None
        return self._made("cancel", desk.ask(f"visits/{visit['key']}/cancel", {}))

    def _edit(self, desk: CrmDesk, rng: Random) -> Asked | None:
        key = self._patient(desk, rng)
        if key is None:
            return None
        shown = desk.get(f"patients/{key}")["person"].get("address2")
        one = Asked("edit", "", key=key, value=f"Unit {self.seed}-{len(self.tried)}")
        one.shown = shown or ""
        self.tried.append(one)  # before it is asked: the CRM may take it and die
        body = {"fields": {"address2": one.value}, "expected": {"address2": shown}}
        view = desk.ask(f"patients/{key}/edit", body)
        if view is None:
            return None
        one.command_id = view["command_id"]
        return one

    def _note(self, desk: CrmDesk, rng: Random) -> Asked | None:
        key = self._patient(desk, rng)
        if key is None:
            return None
        token = f"req-{uuid.uuid4().hex[:12]}"
        return self._made("note", desk.ask(f"patients/{key}/note", {"note": token}), token=token)

    @staticmethod
    def _made(
        kind: str, view: dict[str, Any] | None, *, token: str = "", key: str = ""
    ) -> Asked | None:
        return None if view is None else Asked(kind, view["command_id"], token, key)
