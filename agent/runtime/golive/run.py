"""Put a go-live test together for one installation, run it, and keep its report.

The agent under test runs by itself (the service, or one started for the occasion); this opens the
practice and the CRM a second time beside it, with the same settings and the same pairing.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from agent import __version__
from agent.config import Paths, Settings, open_secrets
from agent.crm.connect import CrmLink
from agent.crm.pairing import Pairing
from agent.crm.rehearsal import Rehearsal
from agent.model.effects import EffectKind, WriterFacts
from agent.model.golive import GoLiveReport, SignedReport, Step, Test
from agent.model.streams import Stream
from agent.ports import PmsWriter
from agent.runtime.clock import SystemClock
from agent.runtime.golive.five import CROWD, FiveTests, Setting, typical_ms
from agent.runtime.golive.practice import ByHand, Deeds, GoLiveError, Records, Written
from agent.runtime.golive.report import signed
from agent.runtime.sources import open_source, open_writer, site_map
from agent.support.health import iso
from agent.sync.datamap import DataMap
from agent.sync.maprows import Way

HAND_PATIENCE_S = 600.0
NEEDED = frozenset(
    {
        EffectKind.CREATE_PATIENT, EffectKind.UPDATE_PATIENT, EffectKind.BOOK, EffectKind.BREAK,
        EffectKind.SET_STATUS,
    }
)  # fmt: skip
_STREAMS = (Stream.PATIENT, Stream.APPOINTMENT, Stream.OPERATORY)


def run_five(
    settings: Settings,
    paths: Paths,
    *,
    operatory: str | None,
    is_sample: bool,
    crowd: int = CROWD,
    tell: Callable[[Test, Step], None],
    ask: Callable[[str, dict[str, Any]], None] | None = None,
) -> tuple[SignedReport, Pairing]:
    """Run the tests against a running agent's practice and CRM.

    ``operatory``: key or name of the test operatory; only a sample practice may do without.
    ``ask``: how to ask a person for a deed where nothing may write; None refuses such a site.
    Raises GoLiveError, ConfigError and the Pms and Crm errors for what keeps the tests from
    running; what fails within them is in the report.
    """
    clock, secrets = SystemClock(), open_secrets(paths)
    link = CrmLink(settings, secrets, clock, __version__)
    source = open_source(settings, secrets)
    try:
        facts = source.probe()
        zone = settings.practice.zone or facts.zone
        datamap = site_map(settings)
        maps = datamap.compile(facts, zone=zone).streams
        missing = [stream.value for stream in _STREAMS if stream not in maps]
        if missing:
            raise GoLiveError("golive.stream_missing", streams=", ".join(missing))
        for stream in _STREAMS:
            source.bind(stream, maps[stream].columns)
        with closing(source.open()) as reader, closing(open_writer(settings, secrets)) as writer:
            records = Records(reader, {stream: maps[stream] for stream in _STREAMS})
            deeds, can = _deeds(writer, records, ask)
            tests = FiveTests(
                records,
                deeds,
                Rehearsal(link.transport, link.auth, clock),
                Setting(
                    operatory_key=_operatory(records, operatory, may_choose=is_sample),
                    provider_key=None,
                    zone=zone,
                    phone_is_shared=_is_shared(datamap),
                    crowd=crowd,
                ),
                tell,
                random.Random(),  # noqa: S311 - names of test people
            )
            proofs = tests.run()
        report = GoLiveReport(
            made_at=iso(clock.now()) or "",
            agent_version=__version__,
            practice_id=link.pairing.practice_id,
            is_sample=is_sample,
            pms_kind=source.kind,
            pms_version=facts.version,
            writer=can.kind,
            passed=all(proof.passed for proof in proofs),
            proofs=proofs,
            median_ms=typical_ms(tests.arrivals_ms),
            slowest_ms=round(max(tests.arrivals_ms), 1) if tests.arrivals_ms else None,
            left_behind=tests.left_behind,
        )
        return signed(report, link.pairing.live), link.pairing
    finally:
        link.close()


def reports_folder(paths: Paths) -> Path:
    return paths.home / "reports"


def _deeds(
    writer: PmsWriter, records: Records, ask: Callable[[str, dict[str, Any]], None] | None
) -> tuple[Deeds, WriterFacts]:
    can = writer.probe()
    if can.abilities >= NEEDED:
        return Written(writer, records), can
    if ask is None:
        lacking = sorted(kind.value for kind in NEEDED - can.abilities)
        raise GoLiveError("golive.cannot_write", lacking=", ".join(lacking))
    return ByHand(records, ask, HAND_PATIENCE_S), WriterFacts("none")


def _operatory(records: Records, wanted: str | None, *, may_choose: bool) -> str:
    """The test operatory's key. Raises GoLiveError: none given, unknown, hidden."""
    known = {record["key"]: record for record in records.above(Stream.OPERATORY, None)}
    usable = [key for key, record in known.items() if not record.get("is_hidden")]
    if wanted is None:
        if may_choose and usable:
            return str(usable[-1])
        raise GoLiveError("golive.no_operatory")
    for key in usable:
        if wanted in (key, known[key].get("name"), known[key].get("abbr")):
            return str(key)
    raise GoLiveError("golive.operatory_unknown", operatory=wanted)


def _is_shared(datamap: DataMap) -> bool:
    rows = [r for r in datamap.rows if r.stream is Stream.PATIENT and r.field == "phone_mobile"]
    return any(row.direction is Way.BOTH for row in rows)
