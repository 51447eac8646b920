"""A survey of a site as one page of text. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from agent.cli.render import WIDTH, findings_lines
from agent.model.reading import Severity
from agent.runtime.surveys import Codes, Mistake, Survey

_NAMES = {"dentrix": "Dentrix", "eaglesoft": "Eaglesoft"}
SHOWN_CODES = 8
SKEW_S = 90.0


def page(found: Survey) -> Iterator[str]:
    yield f"{_NAMES.get(found.kind, found.kind)}, looked at {found.at} for {found.took_s:.1f} s"
    yield ""
    if not found.is_reached:
        yield from findings_lines(list(found.findings))
        return
    yield from _server(found)
    yield ""
    yield f"  {'table':<21}{'served by':<30}{'rows':>10}{'columns':>9}{'100 rows':>11}"
    for line in found.tables:
        if not line.served_by:
            yield f"  {line.name:<21}not there, or not granted"
            continue
        yield (
            f"  {line.name:<21}{line.served_by[:29]:<30}{line.rows:>10,}{line.columns:>9}"
            f"{line.page_ms:>8.1f} ms"
        )
        if line.missing:
            yield f"      without {_listed(line.missing)}"
    yield ""
    yield from _wrapped("Can be read", found.streams or ("nothing",))
    if found.unreadable:
        yield from _wrapped("Cannot be read", found.unreadable)
    if found.codes:
        yield ""
        yield "  Codes and numbers in use"
        for codes in found.codes:
            yield f"    {codes.column:<34}{_codes(codes)}"
            if codes.note:
                yield f"      {codes.note}"
    serious = [f for f in found.findings if f.severity is not Severity.NOTE]
    notes = len(found.findings) - len(serious)
    yield ""
    if serious:
        yield from findings_lines(serious)
    else:
        yield "  Nothing stands in the way."
    if notes:
        yield f"  {notes} notes need no attention; they are in the file."


def _server(found: Survey) -> Iterator[str]:
    said = found.server
    yield f"  Engine      {said.dbms} {said.dbms_version}".rstrip()
    yield (
        f"  Driver      {said.driver} {said.driver_version}, ODBC {said.odbc_version}, loaded by a "
        f"{said.bits}-bit program"
    )
    if found.version:
        yield f"  Program     version {found.version}"
    if found.owner:
        yield f"  Owner       {found.owner}"
    canary = found.canary
    if canary.rows:
        verdict = "right" if not canary.wrong else f"{canary.wrong} WRONG"
        yield f"  Decimals    {verdict}, {canary.rows} tried ({canary.table}.{canary.column})"
    else:
        yield "  Decimals    not tried: no amount stands in any table"
    flow = found.streaming
    if flow.rows:
        yield (
            f"  Reading     first row after {flow.first_ms:.1f} ms, {flow.rows:,} rows of "
            f"{flow.table} in {flow.all_ms:.0f} ms; the reader grew by {flow.grown_mb:.1f} MB"
        )
    if found.mistakes:
        yield f"  Errors      {', '.join(map(_mistake, found.mistakes))}"
    yield f"  Clock       {_clock(found)}"


def _mistake(made: Mistake) -> str:
    said = " ".join(str(part) for part in (made.state, made.native) if part) or "no code"
    verdict = "" if made.is_understood else ", NOT understood"
    return f"{made.asked} missing: {said}{verdict}"


def _clock(found: Survey) -> str:
    clock = found.clock
    if clock.ahead_s is None:
        return f"the server does not say its time; taken as {clock.zone}"
    off = abs(clock.ahead_s)
    beside = "as this computer's" if off < SKEW_S else f"{clock.ahead_s:+,.0f} s from this one's"
    return f"server says {clock.server}, {beside}; zone {clock.zone}"


def _codes(codes: Codes) -> str:
    values = codes.values
    if values:
        shown = sorted(values.items(), key=lambda item: -item[1])[:SHOWN_CODES]
        more = f", {len(values) - SHOWN_CODES} more" if len(values) > SHOWN_CODES else ""
        return ", ".join(f"{value or '(blank)'}: {rows:,}" for value, rows in shown) + more
    if codes.least is None:
        return "nothing"
    return f"{codes.least} to {codes.greatest}, half below {codes.median}"


def _listed(names: tuple[str, ...]) -> str:
    return (
        ", ".join(names) if len(names) <= 8 else f"{', '.join(names[:8])} and {len(names) - 8} more"
    )


def _wrapped(head: str, names: tuple[str, ...]) -> list[str]:
    text = f"{head}: {', '.join(names)}"
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ")
