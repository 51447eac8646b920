r"""The words of the data map's ``transform`` column, and how each runs over a whole column.

Pure; no I/O. A transform is ``word`` or ``word:argument``. Its first source is the row's own
column; further columns are named in the argument (``Pattern`` or ``table.column``). ``catalogue``
lists every word with its meaning; ``bridgework map export`` prints it.

Speed: a page is worked column by column, a column by one C-level pass (``map`` over a memo's
``__getitem__``, ``str.join``/``split``, ``itemgetter``). A Python function runs once per distinct
value, or where no memo could help.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import eq, itemgetter
from typing import Any

from agent.sync import composed, normalize, parts
from agent.sync.normalize import Memo
from agent.sync.wordbase import (
    KEY,
    UNKNOWN,
    Build,
    Enumeration,
    Run,
    Same,
    Spot,
    Toolbox,
    Transform,
    TransformError,
    Values,
    Word,
    enumeration_of,
    enumeration_run,
    one_column,
    per_value,
    word_list,
)

__all__ = [
    "KEY", "Enumeration", "Run", "Same", "Toolbox", "Transform", "TransformError",
    "catalogue", "enumeration_of", "parse", "text_column", "word_list",
]  # fmt: skip


def parse(
    spec: str, toolbox: Toolbox, enums: Mapping[str, Enumeration], source: str = ""
) -> Transform:
    """Bind a transform. ``enums``: the stream's enumerations so far, by field (for ``unmapped``).
    ``source`` is "table.column" of the row, for transforms that report it. Raises TransformError.
    """
    name, _, argument = spec.partition(":")
    word = catalogue.get(name)
    if word is None:
        raise TransformError(f"no transform is called {name}")
    return word.build(Spot(toolbox, argument, enums, source))


# --- column passes ----------------------------------------------------------------------------


def as_is(column: Values) -> Values:
    return column


def text_column(column: Values) -> Values:
    """``normalize.text`` over a column: the whole page is cleaned as one string.

    0x1d never occurs in text typed by people; if it does, the cells are cleaned one by one.
    """
    cells = [cell or "" for cell in column]
    joined = "\x1d".join(cells)
    if "\r" in joined or "\0" in joined:
        if joined.count("\x1d") != len(cells) - 1:
            return [normalize.text(cell) for cell in cells]
        joined = joined.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")
        cells = joined.split("\x1d")
    return [cell.strip() or None for cell in cells]


def key_column(column: Values) -> Values:
    return [None if cell in NO_KEY else cell for cell in column]


NO_KEY = (None, "0", "", "-1")


def _simple(
    name: str, make: Callable[[Any], Any], *, text: bool = True, bound: int = 16_384
) -> Build:
    def build(spot: Spot) -> Transform:
        if spot.argument:
            raise TransformError(f"{name} takes no argument")
        return Transform(per_value(spot.toolbox.memo(name, make, bound)), gives_text=text)

    return build


def _direct(run: Run, *, text: bool = True) -> Build:
    def build(_spot: Spot) -> Transform:
        return Transform(run, gives_text=text)

    return build


def _local(method: str) -> Build:
    def build(spot: Spot) -> Transform:
        return Transform(as_is, first=getattr(spot.toolbox.local, method))

    return build


def _local_text(spot: Spot) -> Transform:
    local = spot.toolbox.local
    return Transform(local.wall_column, first=local.utc_column, more=(spot.source,))


def _enum(spot: Spot) -> Transform:
    known = word_list(spot.argument)
    enumeration = Enumeration(known)
    words = frozenset({*known.values(), UNKNOWN})
    return Transform(enumeration_run(enumeration), words=words, known=known)


def _unmapped(spot: Spot) -> Transform:
    enumeration = spot.enums.get(spot.argument)
    if enumeration is None:
        raise TransformError("names no enumeration that stands above it")
    known = enumeration.known

    def run(column: Values) -> Iterable[Any] | Same:
        # The enumeration ran over this very column before us: no stranger so far, none here.
        if not enumeration.strangers:
            return Same(None)
        return [None if not cell or cell in known else cell for cell in column]

    return Transform(run)


def _match(spot: Spot) -> Transform:
    rules = list(word_list(spot.argument).items())

    def category(value: str | None) -> str | None:
        if not value:
            return None
        folded = value.casefold()
        return next((word for piece, word in rules if piece in folded), "other")

    words = frozenset({*(word for _, word in rules), "other"})
    return Transform(per_value(Memo(category, 1024)), words=words)


def _flags(spot: Spot) -> Transform:
    bits = [(int(bit), word) for bit, word in word_list(spot.argument).items()]
    covered = sum(bit for bit, _ in bits)

    def flags(value: str | None) -> tuple[str, ...]:
        number = int(value or 0)
        found = [word for bit, word in bits if number & bit]
        return (*found, "other") if number & ~covered else tuple(found)

    words = frozenset({*(word for _, word in bits), "other"})
    return Transform(per_value(Memo(flags, 4096)), words=words, gives_text=False)


def _contains(spot: Spot) -> Transform:
    if not spot.argument:
        raise TransformError("wants the text to look for")
    memo: Memo[str | None, bool | None] = Memo(
        lambda v: None if v is None else spot.argument in v, 1024
    )
    return Transform(per_value(memo), gives_text=False)


def _pick(toolbox_column: str, index: int, *, text: bool = True) -> Build:
    pick = itemgetter(index)

    def build(spot: Spot) -> Transform:
        first = getattr(spot.toolbox, toolbox_column)
        return Transform(lambda column: list(map(pick, column)), first=first, gives_text=text)

    return build


def _end(spot: Spot) -> Transform:
    local = spot.toolbox.local
    lengths = spot.toolbox.memo("length", lambda pattern: normalize.minutes(pattern) or 0)
    look = lengths.__getitem__

    def run(start: Values, pattern: Values) -> Iterable[Any]:
        return local.end_column(start, map(look, pattern))

    return Transform(run, first=local.utc_column, more=(one_column(spot.argument),))


def _at(spot: Spot) -> Transform:
    at = spot.toolbox.local.at
    memo: Memo[tuple[str | None, str | None], str | None] = Memo(lambda pair: at(*pair), 8_192)
    look = memo.__getitem__
    return Transform(
        lambda day, clock: list(map(look, zip(day, clock, strict=True))),
        more=(one_column(spot.argument),),
    )


def _amount(spot: Spot) -> Transform:
    more = tuple(spot.argument.split(","))
    if not spot.argument:
        raise TransformError("wants the columns to add up")
    memo: Memo[tuple[str | None, ...], str | None] = Memo(lambda row: normalize.multiply(*row))
    look = memo.__getitem__
    return Transform(lambda *columns: list(map(look, zip(*columns, strict=True))), more=more)


def _head_money(spot: Spot) -> Transform:
    look = spot.toolbox.memo("money", normalize.money).__getitem__

    def run(column: Values, guarantor: Values, own: Values) -> Iterable[Any]:
        return [
            look(cell) if is_head else None
            for cell, is_head in zip(column, map(eq, guarantor, own), strict=True)
        ]

    return Transform(run, more=(one_column(spot.argument), KEY))


def _is_own_key(_spot: Spot) -> Transform:
    return Transform(lambda column, own: list(map(eq, column, own)), more=(KEY,), gives_text=False)


def _family_role(_spot: Spot) -> Transform:
    def run(column: Values, own: Values) -> Iterable[Any]:
        # Guarantor 0 is a record still being made: neither head nor member.
        return [
            "head" if cell == key else None if cell in NO_KEY else "member"
            for cell, key in zip(column, own, strict=True)
        ]

    return Transform(run, more=(KEY,), words=frozenset({"head", "member"}))


OPTED_OUT_OF_ALL = 1


def _consent(spot: Spot) -> Transform:
    """A refusal wins over a permission; an opt-out of everything is a refusal."""
    said = {"1": "granted", "2": "denied"}

    def decide(pair: tuple[str | None, str | None]) -> str | None:
        answer, flags = pair
        if int(flags or 0) & OPTED_OUT_OF_ALL:
            return "denied"
        return said.get(answer or "", UNKNOWN)

    memo = Memo(decide, 1024)
    look = memo.__getitem__
    return Transform(
        lambda answer, flags: list(map(look, zip(answer, flags, strict=True))),
        more=(one_column(spot.argument),),
        words=frozenset({"granted", "denied", UNKNOWN}),
    )


def _consent_source(spot: Spot) -> Transform:
    other = one_column(spot.argument)

    def decide(pair: tuple[str | None, str | None]) -> str | None:
        answer, flags = pair
        said = [spot.source] if answer in {"1", "2"} else []
        if int(flags or 0) & OPTED_OUT_OF_ALL:
            said = [spot.source, other] if answer == "2" else [other]
        return ", ".join(said) or None

    memo = Memo(decide, 1024)
    look = memo.__getitem__
    return Transform(
        lambda answer, flags: list(map(look, zip(answer, flags, strict=True))), more=(other,)
    )


def _refusal(_spot: Spot) -> Transform:
    memo: Memo[str | None, str] = Memo(
        lambda flags: "denied" if int(flags or 0) & OPTED_OUT_OF_ALL else UNKNOWN, 1024
    )
    return Transform(per_value(memo), words=frozenset({"denied", UNKNOWN}))


def _refusal_source(spot: Spot) -> Transform:
    memo: Memo[str | None, str | None] = Memo(
        lambda flags: spot.source if int(flags or 0) & OPTED_OUT_OF_ALL else None, 1024
    )
    return Transform(per_value(memo))


def _worded_parts(make: Callable[[Mapping[str, str]], Callable[[str | None], Any]]) -> Build:
    def build(spot: Spot) -> Transform:
        build_one = make(word_list(spot.argument))
        return Transform(lambda column: list(map(build_one, column)), gives_text=False)

    return build


def _built_parts(make: Callable[[], Callable[[str | None], Any]]) -> Build:
    def build(_spot: Spot) -> Transform:
        build_one = make()
        return Transform(lambda column: list(map(build_one, column)), gives_text=False)

    return build


def _parts(make: Callable[[str | None], Any]) -> Any:
    return _direct(lambda column: list(map(make, column)), text=False)


def _zone(spot: Spot) -> Transform:
    zone = spot.toolbox.zone
    return Transform(lambda _own: Same(zone), more=(KEY,), needs_source=False)


def _null(_spot: Spot) -> Transform:
    return Transform(lambda _own: Same(None), more=(KEY,), gives_text=False, needs_source=False)


def _id(_spot: Spot) -> Transform:
    return Transform(lambda own: own, more=(KEY,), needs_source=False)


catalogue: dict[str, Word] = {
    "id": Word("the record's own key", _id),
    "text": Word("trimmed text, line ends as \\n; empty is null", _direct(text_column)),
    "name": Word("text with single spaces, Unicode NFC", _simple("name", normalize.name)),
    "key": Word("reference to another record; 0 and -1 are null", _direct(key_column)),
    "int": Word("whole number", _simple("int", normalize.integer, text=False)),
    "bool": Word("0 false, other numbers true", _simple("bool", normalize.boolean, text=False)),
    "is_zero": Word("true when the number is 0", _simple("is_zero", normalize.is_zero, text=False)),
    "money": Word("decimal text with two digits, half to even", _simple("money", normalize.money)),
    "amount": Word("money times the sum of the named columns", _amount),
    "head_money": Word("money, only where the record is its own guarantor", _head_money),
    "date": Word("calendar date; before 1880 is null", _simple("date", normalize.date)),
    "local_time": Word("wall time of the practice's zone into UTC", _local("utc_column")),
    "arrival": Word("as local_time; midnight sharp is null", _local("happened_column")),
    "local_text": Word("wall time as stored, ISO 8601", _local_text),
    "at": Word("date and the named time column, wall time into UTC", _at),
    "end": Word("start plus 5 minutes for each sign of the named pattern, UTC", _end),
    "clock": Word("time of day, HH:MM", _simple("clock", normalize.clock_text)),
    "minutes": Word(
        "5 minutes for each sign of a pattern",
        _simple("minutes", normalize.minutes, text=False),
    ),
    "zone": Word("the practice's zone (IANA name)", _zone),
    "phone": Word("E.164; null where the text is no number", _pick("phone_column", 0)),
    "phone_raw": Word("the text, where E.164 cannot say it", _pick("phone_column", 1)),
    "email": Word("list of addresses", _pick("email_column", 0, text=False)),
    "email_raw": Word("the text, where a part of it is no address", _pick("email_column", 1)),
    "language": Word("language code in small letters", _simple("language", normalize.language)),
    "interval": Word(
        "packed interval into an ISO 8601 period", _simple("interval", normalize.interval)
    ),
    "enum": Word('value=word;...; other values are "unknown"', _enum),
    "unmapped": Word('the raw value where the named enumeration is "unknown"', _unmapped),
    "match": Word('piece of the name=word;..., first that fits, else "other"', _match),
    "flags": Word('bit=word;... into a list; unknown bits are "other"', _flags),
    "contains": Word("true when the text contains the argument", _contains),
    "consent": Word("yes/no answer, denied when the named flags opt out of all", _consent),
    "consent_source": Word("which columns decided a consent", _consent_source),
    "refusal": Word("denied when the flags opt out of all, else unknown", _refusal),
    "refusal_source": Word("the column, when it decided", _refusal_source),
    "is_own_key": Word("true when the reference is the record itself", _is_own_key),
    "family_role": Word("head when the guarantor is the record itself, else member", _family_role),
    "keys": Word("set of references", _simple("keys", parts.keys, text=False, bound=4096)),
    "ordered_keys": Word(
        "references in the practice's order",
        _simple("ordered_keys", parts.ordered_keys, text=False, bound=4096),
    ),
    "first_key": Word("first of the references", _simple("first_key", parts.first_key, bound=4096)),
    "pairs": Word("name/value pairs", _simple("pairs", parts.pairs, text=False, bound=4096)),
    "procedures": Word("procedure and code keys", _parts(parts.procedures)),
    "claim_lines": Word("claim lines; status words as in enum", _worded_parts(parts.ClaimLines)),
    "payment_splits": Word("payment splits", _built_parts(parts.PaymentSplits)),
    "perio_measures": Word(
        "measures; sequence words as in enum", _worded_parts(parts.PerioMeasures)
    ),
    "null": Word("nothing: the PMS does not know it", _null),
    **composed.WORDS,
}
"""Every transform of the data map."""
