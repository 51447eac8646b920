"""The 1:N values of a record: items of one text value into parts. Pure; no I/O.

The driver joins items with 0x1e and the parts of an item with 0x1f. Items are sorted as text, so
the same set always gives the same bytes whatever order the server had.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.model.entities import ClaimLine, PaymentSplit, PerioMeasure, ProcedureRef
from agent.sync.normalize import ITEM, PART, Memo, date, money

UNKNOWN = "unknown"
NO_KEY = ("0", "", "-1")


def keys(value: str | None) -> tuple[str, ...]:
    """A set of keys, smaller numbers first."""
    if not value:
        return ()
    found = {*value.split(ITEM)} - {"0", ""}
    return tuple(sorted(found, key=lambda number: (len(number), number)))


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
    return tuple(map(_procedure, sorted(value.split(ITEM))))


def _procedure(item: str) -> ProcedureRef:
    number, separator, code = item.partition(PART)
    if not separator:
        raise ValueError("not a procedure")
    return ProcedureRef(number, None if code in NO_KEY else code)


class ClaimLines:
    """(ClaimProcNum, ProcNum, Status, FeeBilled, InsPayEst, InsPayAmt, WriteOff, DedApplied,
    DateCP) items; ``words`` names the statuses."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self._words = words
        self._money = Memo(money, 8_192)
        self._date = Memo(date, 8_192)

    def __call__(self, value: str | None) -> tuple[ClaimLine, ...]:
        cents, day, words = self._money, self._date, self._words
        return tuple(
            [
                ClaimLine(
                    number,
                    None if procedure in NO_KEY else procedure,
                    words.get(status, UNKNOWN),  # type: ignore[arg-type]  # checked at load
                    None if status in words else status,
                    cents[billed],
                    cents[estimate],
                    cents[paid],
                    cents[written_off],
                    cents[deductible],
                    day[paid_on],
                )
                for (
                    number, procedure, status, billed, estimate, paid, written_off, deductible,
                    paid_on,
                ) in _items(value, 9)
            ]
        )  # fmt: skip


class PaymentSplits:
    """(SplitNum, PatNum, ProcNum, ProvNum, SplitAmt, DatePay, UnearnedType, ClinicNum) items."""

    def __init__(self) -> None:
        self._money = Memo(money, 8_192)
        self._date = Memo(date, 8_192)

    def __call__(self, value: str | None) -> tuple[PaymentSplit, ...]:
        cents, day = self._money, self._date
        return tuple(
            [
                PaymentSplit(
                    number,
                    None if patient in NO_KEY else patient,
                    None if procedure in NO_KEY else procedure,
                    None if provider in NO_KEY else provider,
                    cents[amount],
                    day[paid_on],
                    None if unearned in NO_KEY else unearned,
                    None if clinic in NO_KEY else clinic,
                )
                for (
                    number, patient, procedure, provider, amount, paid_on, unearned, clinic,
                ) in _items(value, 8)
            ]
        )  # fmt: skip


class PerioMeasures:
    """(SequenceType, IntTooth, ToothValue, MB, B, DB, ML, L, DL) items; -1 is "not measured".

    An exam has a hundred and more of them and mouths are alike, so items are remembered.
    """

    def __init__(self, words: Mapping[str, str]) -> None:
        self._words = words
        self._known = Memo(self._measure, 32_768)

    def __call__(self, value: str | None) -> tuple[PerioMeasure, ...]:
        if not value:
            return ()
        placed = sorted(map(self._known.__getitem__, value.split(ITEM)))
        return tuple([measure for *_, measure in placed])

    def _measure(self, item: str) -> tuple[str, int, str, PerioMeasure]:
        """(kind, tooth, item, measure): sorts by kind and tooth; equal items are one object."""
        kind, tooth, *values = _parts(item, 9)
        word = self._words.get(kind, UNKNOWN)
        site = _margin if word == "gingival_margin" else _site
        own, mb, b, db, ml, l, dl = map(site, values)  # noqa: E741 - the sites' names
        raw = None if kind in self._words else kind
        measure = PerioMeasure(word, int(tooth), own, mb, b, db, ml, l, dl, raw)  # type: ignore[arg-type]
        return word, int(tooth), item, measure


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
    return [_parts(item, width) for item in sorted(value.split(ITEM))]


def _parts(item: str, width: int) -> list[str]:
    parts = item.split(PART)
    if len(parts) != width:
        raise ValueError("not a list of parts")
    return parts
