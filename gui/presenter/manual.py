"""The words of tab By hand: rows of a preview, earlier imports, failure periods. No Qt."""

from __future__ import annotations

from datetime import datetime

from agent.model.sheets import Counts, IntakeView, OutageLine, RowLine, Verdict
from gui.i18n import Texts
from gui.presenter.values import field_name, shown

TONES = {
    Verdict.NEW: "good", Verdict.CHANGED: "accent", Verdict.REJECTED: "bad",
    Verdict.KNOWN: "soft", Verdict.UNCHANGED: "soft",
}  # fmt: skip


def what_row(texts: Texts, row: RowLine) -> str:
    """What a row would change, or why it is left out."""
    if row.verdict is Verdict.REJECTED:
        facts = dict(row.facts)
        if "field" in facts:
            facts["field"] = field_name(str(facts["field"]), texts)
        message = texts.message(row.code, facts)
        return " ".join(part for part in (message.title, message.next_step) if part)
    parts = []
    for change in row.changes:
        name = field_name(change.field, texts)
        if change.now in (None, "", []):
            parts.append(f"{name}: {shown(change.then, texts) or '-'}")
        else:
            parts.append(f"{name}: {shown(change.now, texts)} → {shown(change.then, texts) or '-'}")
    return " · ".join(parts)


def summary(texts: Texts, counts: Counts) -> str:
    """``3 new, 12 changed, 985 unchanged, 2 rejected``."""
    parts = [
        texts(f"manual.counts.{name}", count=texts.number(getattr(counts, name)))
        for name in ("new", "changed", "unchanged", "known", "rejected")
        if getattr(counts, name)
    ]
    return ", ".join(parts) or texts("manual.counts.nothing")


def intake_ends(texts: Texts, view: IntakeView) -> str:
    """``12 done, 1 to decide``."""
    parts = [
        texts(f"manual.ends.{name}", count=texts.number(count))
        for name, count in sorted(view.ends.items())
        if count and texts.has(f"manual.ends.{name}")
    ]
    return ", ".join(parts) or texts("manual.ends.nothing")


def outage_text(texts: Texts, outage: OutageLine, now: datetime) -> str:
    """``CRM offline 10:02 to 10:47, 37 changes waited, all sent``."""
    side = texts(f"manual.side.{outage.side}")
    start = texts.when(outage.started_at, now)
    if outage.ended_at is None:
        return texts("manual.outage.lasts", side=side, start=start)
    end = texts.form.clock(outage.ended_at)
    if outage.side == "agent":
        return texts("manual.outage.still", side=side, start=start, end=end)
    if not outage.waited:
        return texts("manual.outage.quiet", side=side, start=start, end=end)
    rest = "sent" if outage.sent_at is not None else "unsent"
    return texts(
        f"manual.outage.{rest}", side=side, start=start, end=end, count=texts.number(outage.waited)
    )
