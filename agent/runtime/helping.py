"""Support's tools from what the host has: the doctor as a job, and what goes into a bundle."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from agent.config import MANIFEST, Paths, Settings
from agent.config.secrets import Secrets, read_secret
from agent.journal.reads import Reads
from agent.model.helping import BundleMade, Checked, Diagnosis, MakeBundle
from agent.runtime.checks import all_checks
from agent.runtime.fallback.counter import Help
from agent.runtime.fallback.files import Files
from agent.runtime.fallback.jobs import Ticket
from agent.runtime.fallback.outages import outage_line
from agent.support.bundle import Bundle, environment
from agent.support.doctor import run_checks
from agent.support.messages import Catalogue
from agent.support.programs import antivirus
from drivers.finding import odbc_drivers

MOST_DAYS = 30
_ACTIVITY = 2000


def build_help(
    settings: Settings,
    paths: Paths,
    secrets: Secrets,
    journal: Reads | None,
    files: Files,
    report: Callable[[], Any],
) -> Help:
    """``journal`` None: there is none to look into."""

    def diagnose(ticket: Ticket) -> Diagnosis:
        checks = all_checks(settings, paths)

        def step(done: list[Checked], title: str) -> None:
            told = Diagnosis(tuple(done), title)
            ticket.progress(len(done), len(checks), "checks", told)

        done, code = run_checks(checks, step)
        return Diagnosis(tuple(done), "", int(code))

    def bundle(wish: MakeBundle, ticket: Ticket) -> BundleMade:
        png = b""
        if wish.screenshot:
            with files.read(wish.screenshot) as file:
                png = file.read()
        made = fill_bundle(
            settings, paths, secrets, journal, report, wish, png,
            lambda done, total: ticket.progress(done, total, "parts"),
        )  # fmt: skip
        name = f"bridgework-bundle-{datetime.now(UTC):%Y%m%d-%H%M%S}.zip"
        if wish.preview:
            return BundleMade("", name, sum(part.size for part in made.parts), made.parts)
        token, path = files.make(name)
        made.write(path)
        return BundleMade(token, name, path.stat().st_size, made.parts)

    return Help(diagnose, bundle)


def fill_bundle(
    settings: Settings,
    paths: Paths,
    secrets: Secrets,
    journal: Reads | None,
    report: Callable[[], Any],
    wish: MakeBundle,
    png: bytes = b"",
    step: Callable[[int, int], None] = lambda _done, _total: None,
) -> Bundle:
    """Everything but writing it. ``journal`` None: there is none to look into."""
    catalogue = Catalogue.load()
    made = Bundle(catalogue.codes)
    days = min(max(wish.days, 1), MOST_DAYS)
    steps: list[Callable[[], None]] = [
        lambda: made.tree("status.json", "what the agent says of itself", report),
        lambda: made.tree(
            "doctor.json", "each step between practice and CRM",
            lambda: run_checks(all_checks(settings, paths))[0],
        ),
        lambda: made.settings(_settings(settings, secrets)),
        lambda: made.tree("environment.json", "the computer, without names", environment),
        lambda: made.programs(antivirus(), odbc_drivers()),
        lambda: made.logs(paths.log_dir, days, datetime.now(UTC)),
        lambda: made.note(wish.note),
    ]  # fmt: skip
    if journal is not None:
        held = journal
        steps[3:3] = [
            lambda: made.tree("journal.json", "counts and ages, no record", lambda: _stats(held)),
            lambda: made.tree(
                "schema.json", "layouts of the practice system's tables, as fingerprints",
                held.schemas,
            ),
        ]  # fmt: skip
    if png:
        steps.append(lambda: made.screenshot(png))
    for done, one in enumerate(steps):
        step(done, len(steps))
        one()
    step(len(steps), len(steps))
    return made


def _settings(settings: Settings, secrets: Secrets) -> list[dict[str, Any]]:
    return [
        {
            "name": setting.name,
            "value": settings.value(setting.name),
            "default": setting.default,
            "origin": settings.origin(setting.name),
            "secret": setting.secret,
            "is_set": setting.secret and bool(read_secret(settings, secrets, setting.name)),
            "choice": bool(setting.choices),
        }
        for setting in MANIFEST.values()
    ]


def _stats(journal: Reads) -> dict[str, Any]:
    now = datetime.now(UTC)
    activity = journal.recent_activity(_ACTIVITY)
    return {
        "numbers": journal.numbers(now),
        "streams": journal.stream_counts(),
        "commands": {state.value: n for state, n in journal.command_counts().items()},
        "parked": [
            {"stream": park.stream.value, "reason": park.reason, "tries": park.tries}
            for park in journal.parked(100)
        ],
        "lsn": journal.lsn,
        "outages": [outage_line(row) for row in journal.outages(50)],
        "intakes": [
            {"at": row.at, "kind": row.kind, "state": row.state, "counts": row.counts}
            for row in journal.intakes(20)
        ],
        "activity": [
            {"code": code, "count": count}
            for code, count in Tally(line.code for line in activity).most_common()
        ],
    }
