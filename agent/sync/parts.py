"""The 1:N values of a record: items of one text value into parts. Pure; no I/O.

The driver joins items with 0x1e and the parts of an item with 0x1f. Items are put in the order of
their keys (shorter number first), so the same set always gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.model.entities import ClaimLine, PaymentSplit, PerioMeasure, ProcedureRef
from agent.sync.normalize import ITEM, PART, date, key, money

UNKNOWN = "unknown"
NO_KEY = ("0", "", "-1")


def keys(value: str | None) -> tuple[str, ...]:
    """A set of keys."""
    if not value:
        return ()
    return tuple(sorted({*value.split(ITEM)} - {"0", ""}, key=_numeric))


def ordered_keys(value: str | None) -> tuple[str, ...]:
    """Keys in the practice's own order; repeated ones once."""
    if not value:
        return ()
    return tuple(found for found in dict.fromkeys(value.split(ITEM)) if found not in {"0", ""})


def first_key(value: str | None) -> str | None:
    found = ordered_keys(value)
    return found[0] if found else None


def pairs(value: str | None) -> dict[str, str]:
    """Custom fields by name, names sorted; two values of one name are kept, a line each."""
    found: dict[str, str] = {}
    if value:
        for item in sorted(value.split(ITEM)):
            name, separator, content = item.partition(PART)
            if not separator:
                raise ValueError("not a pair")
            name, content = name.strip(), content.strip()
            if name and content:
                found[name] = f"{found[name]}\n{content}" if name in found else content
    return found


def procedures(value: str | None) -> tuple[ProcedureRef, ...]:
    """(ProcNum, CodeNum) items."""
    if not value:
        return ()
    if ITEM not in value:
        return (_procedure(value),)
    return tuple(map(_procedure, sorted(value.split(ITEM), key=_numeric_first)))


def _procedure(item: str) -> ProcedureRef:
    number, separator, code = item.partition(PART)
    if not separator:
        raise ValueError("not a procedure")
    return ProcedureRef(number, None if code in NO_KEY else code)


def claim_lines(value: str | None, words: Mapping[str, str]) -> tuple[ClaimLine, ...]:
    """(ClaimProcNum, ProcNum, Status, FeeBilled, InsPayEst, InsPayAmt, WriteOff, DedApplied,
    DateCP) items; ``words`` names the statuses."""
    found = []
    for number, procedure, status, billed, estimate, paid, write_off, deductible, day in _items(
        value, 9
    ):
        word = words.get(status, UNKNOWN)
        found.append(
            ClaimLine(
                number,
                key(procedure),
                word,  # type: ignore[arg-type]  # a word of the enumeration, checked at load
                None if word != UNKNOWN else status,
                money(billed),
                money(estimate),
                money(paid),
                money(write_off),
                money(deductible),
                date(day),
            )
        )
    return tuple(found)


def payment_splits(value: str | None) -> tuple[PaymentSplit, ...]:
    """(SplitNum, PatNum, ProcNum, ProvNum, SplitAmt, DatePay, UnearnedType, ClinicNum) items."""
    return tuple(
        PaymentSplit(
            number,
            key(patient),
            key(procedure),
            key(provider),
            money(amount),
            date(paid_on),
            key(unearned),
            key(clinic),
        )
        for number, patient, procedure, provider, amount, paid_on, unearned, clinic in _items(
            value, 8
        )
    )


def perio_measures(value: str | None, words: Mapping[str, str]) -> tuple[PerioMeasure, ...]:
    """(SequenceType, IntTooth, ToothValue, MB, B, DB, ML, L, DL) items; -1 is "not measured"."""
    measures = []
    for kind, tooth, *values in _items(value, 9):
        word = words.get(kind, UNKNOWN)
        site = _margin if word == "gingival_margin" else _site
        own, mb, b, db, ml, l, dl = map(site, values)  # noqa: E741 - the sites' names
        raw = None if word != UNKNOWN else kind
        measures.append(
            PerioMeasure(word, int(tooth), own, mb, b, db, ml, l, dl, raw)  # type: ignore[arg-type]
        )
    measures.sort(key=lambda measure: (measure.kind, measure.kind_raw or "", measure.tooth))
    return tuple(measures)


def _site(value: str) -> int | None:
    number = int(value)
    return None if number == -1 else number


def _margin(value: str) -> int | None:
    """Above 100 stands for a margin above the enamel junction: 105 means -5."""
    number = int(value)
    if number == -1:
        return None
    return 100 - number if number > 100 else number


def _items(value: str | None, width: int) -> list[list[str]]:
    if not value:
        return []
    items = [item.split(PART) for item in value.split(ITEM)]
    if any(len(item) != width for item in items):
        raise ValueError("not a list of parts")
    if len(items) > 1:
        items.sort(key=lambda item: (_numeric(item[0]), item))
    return items


def _numeric(number: str) -> tuple[int, str]:
    return len(number), number


def _numeric_first(item: str) -> tuple[int, str]:
    number = item.partition(PART)[0]
    return len(number), number
