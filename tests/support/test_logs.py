"""Canaries: no name, phone, note or row ever reaches the log, whatever way it is logged."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.errors import PmsError
from agent.model.streams import Stream
from agent.support import logs
from agent.support.logs import configure
from agent.support.redaction import MASK, TEXT_FIELDS, redact_event, safe_value

CANARIES = (
    "Zaphod Testperson",
    "Testperson",
    "555-014-2233",
    "5550142233",
    "zaphod@example.test",
    "1984-02-29",
    "tooth ache since May",
)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Logging set up as for the agent; call it for the lines of the file (console asserted too)."""
    before = list(logging.getLogger().handlers), logging.getLogger().level
    console = io.StringIO()
    file = tmp_path / "logs" / "bridgework.log"
    configure(level="debug", file=file, console=console)

    def lines() -> list[dict[str, Any]]:
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        for canary in CANARIES:
            assert canary not in text
            assert canary not in console.getvalue()
        return [json.loads(line) for line in text.splitlines()]

    yield lines
    for handler in list(logging.getLogger().handlers):
        if handler not in before[0]:
            logging.getLogger().removeHandler(handler)
            handler.close()
    logging.getLogger().setLevel(before[1])


def test_what_support_needs_is_there(log: Callable[[], list[dict[str, Any]]]) -> None:
    structlog.get_logger("agent.sync.push").info(
        "batch.settled", stream=Stream.PATIENT, rows=1000, took_ms=12.5, host="SRV1", ok=True,
        at=datetime.now(UTC), due_at=datetime(2026, 11, 20, tzinfo=UTC), lsn=123_456_789_012,
        batch="6f1c1b1e-0000-4000-8000-000000000000-17", version="21.1.9.0", code="pms.busy",
    )  # fmt: skip
    (line,) = log()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "batch.settled",
        "level": "info",
        "logger": "agent.sync.push",
        "stream": "patient",
        "rows": 1000,
        "took_ms": 12.5,
        "host": "SRV1",
        "ok": True,
        "at": MASK,
        "due_at": "2026-11-20T00:00:00+00:00",
        "lsn": 123_456_789_012,
        "batch": "6f1c1b1e-0000-4000-8000-000000000000-17",
        "version": "21.1.9.0",
        "code": "pms.busy",
    }


@pytest.mark.parametrize("canary", CANARIES)
def test_a_canary_in_any_place_is_masked(
    log: Callable[[], list[dict[str, Any]]], canary: str
) -> None:
    logger = structlog.get_logger("agent.test")
    logger.info(canary)
    logger.info("record.read", name=canary, row={"LName": canary, canary: 1}, keys=[canary])
    logger.info("record.read", value=canary.encode(), key=canary, born=date(1984, 2, 29))
    logger.info("record.read", **dict.fromkeys(("note", "detail", "message", "text"), canary))
    logger.bind(patient=canary).warning("record.parked", reason=f"cannot read {canary}")
    logger.info("record.read", obj=type("Row", (), {"__repr__": lambda _: canary})())
    assert len(log()) == 6


def test_numbers_that_could_be_phones_are_masked(log: Callable[[], list[dict[str, Any]]]) -> None:
    structlog.get_logger("agent.test").info(
        "record.read", phone=5550142233, value=5550142233.0, keys=(5550142233,), count=7
    )
    (line,) = log()
    assert (line["phone"], line["value"], line["keys"], line["count"]) == (MASK, MASK, [MASK], 7)


@pytest.mark.parametrize("field", sorted(TEXT_FIELDS))
def test_no_field_takes_a_name_with_a_space_or_a_phone(field: str) -> None:
    if field not in {"version", "pms_version", "agent_version", "server"}:
        assert safe_value(field, "Zaphod Testperson") == MASK
    assert safe_value(field, "tel. 5550142233 home") == MASK
    assert safe_value(field, "Žofie") == MASK
    assert safe_value(field, "a\nb") == MASK


def test_exceptions_lose_their_text_and_keep_type_code_and_our_frames(
    log: Callable[[], list[dict[str, Any]]],
) -> None:
    logger = structlog.get_logger("agent.test")
    try:
        try:
            int("Zaphod Testperson")
        except ValueError as error:
            raise PmsError("pms.error", host="SRV1", why="5550142233") from error
    except PmsError:
        logger.exception("read.failed")
        logger.error("read.failed", exc_info=True)  # noqa: G201 - every way there is
        logger.error("read.failed", exc_info=sys.exc_info())  # noqa: G201
        logger.error("read.failed", error=sys.exc_info()[1])
    try:
        safe_value("x", _Trap())
    except RuntimeError as error:
        logger.error("read.failed", exc_info=error)
    lines = log()
    for line in lines[:3]:
        assert (line["error"], line["code"], line["cause"]) == (
            "PmsError",
            "pms.error",
            "ValueError",
        )
        assert line["facts"] == {"host": "SRV1", "why": MASK}
    assert lines[3]["error"] == MASK
    assert lines[4]["error"] == "RuntimeError"
    assert any(f.startswith("agent/support/redaction.py:") for f in lines[4]["frames"])


class _Trap(dict[str, str]):
    def items(self) -> Any:
        raise RuntimeError("Zaphod Testperson")


def test_libraries_keep_their_name_and_lose_their_words(
    log: Callable[[], list[dict[str, Any]]],
) -> None:
    library = logging.getLogger("somelib.pool")
    library.warning("GET /patients?name=Zaphod Testperson")
    library.warning("row %s", "5550142233")
    try:
        raise ValueError("Zaphod Testperson")
    except ValueError:
        library.exception("failed for Testperson")
    lines = log()
    assert [line["event"] for line in lines] == ["library.log"] * 3
    assert {line["logger"] for line in lines} == {"somelib.pool"}
    assert lines[2]["error"] == "ValueError"


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    fields=st.dictionaries(
        st.from_regex(r"[a-z_]{1,12}", fullmatch=True).filter(lambda n: n not in TEXT_FIELDS),
        st.text(min_size=1) | st.binary() | st.lists(st.text(min_size=1)),
        max_size=5,
    )
)
def test_text_in_a_field_nobody_named_never_passes(fields: dict[str, Any]) -> None:
    ours = {"event", "timestamp", "exc_info", "exception", "stack", "stack_info"}
    for name, value in redact_event(None, "info", dict(fields)).items():
        if name in ours or name.startswith("_"):
            continue
        assert value == MASK or all(item == MASK for item in value)


def test_the_console_is_readable_and_silent_below_its_level(tmp_path: Path) -> None:
    before = list(logging.getLogger().handlers), logging.getLogger().level
    console = io.StringIO()
    configure(level="debug", console=console, console_level="warning")
    structlog.get_logger("agent.test").info("batch.settled", rows=3)
    structlog.get_logger("agent.test").warning("batch.refused", rows=3, stream="patient")
    for handler in set(logging.getLogger().handlers) - set(before[0]):
        logging.getLogger().removeHandler(handler)
    logging.getLogger().setLevel(before[1])
    assert console.getvalue()[8:] == " warning batch.refused rows=3 stream=patient\n"


def test_no_file_before_the_first_line(tmp_path: Path) -> None:
    before = list(logging.getLogger().handlers)
    configure(level="info", file=tmp_path / "logs" / "x.log", console=io.StringIO())
    for handler in set(logging.getLogger().handlers) - set(before):
        logging.getLogger().removeHandler(handler)
        handler.close()
    assert not (tmp_path / "logs").exists()


def test_a_full_file_that_somebody_has_open_grows_on_and_is_turned_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Windows does it: there nothing is played."""
    file = tmp_path / "bridgework.log"
    older = tmp_path / "bridgework.log.1"
    monkeypatch.setattr(logs, "_FILE_BYTES", 2_000)
    replace, held = os.replace, True

    def guarded(source: str | Path, target: str | Path) -> None:
        if held and Path(source) == file:
            raise PermissionError(13, "somebody has it open")
        replace(source, target)

    if os.name != "nt":
        monkeypatch.setattr(os, "replace", guarded)
    older.write_text("of before\n")
    configure(file=file, console=io.StringIO(), console_level="error")
    try:
        say = structlog.get_logger("agent.test").info
        say("test.line", count=0)
        with file.open(encoding="utf-8"):
            for count in range(1, 100):
                say("test.line", count=count)
        lines = [json.loads(line)["count"] for line in file.read_text().splitlines()]
        assert lines == list(range(100)), "none is lost"
        assert older.read_text() == "of before\n", "none moves up for nothing"
        held = False
        monkeypatch.setattr(logs.time, "monotonic", lambda: float("inf"))
        say("test.line", count=100)
        assert [json.loads(line)["count"] for line in file.read_text().splitlines()] == [100]
        assert len(older.read_text().splitlines()) == 100
        assert (tmp_path / "bridgework.log.2").read_text() == "of before\n"
    finally:
        configure(console=io.StringIO())
