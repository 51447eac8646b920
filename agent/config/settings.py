"""Every setting, declared once: name, type, default, help, bounds, secrecy. No I/O here.

A section is a frozen dataclass and a setting is one of its fields, so the typed view and the
manifest cannot drift apart: ``Settings.pms.host`` and ``MANIFEST["pms.host"]`` are the same line.
Imports only agent.model and agent.errors.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, get_type_hints

from agent.config.paths import Paths
from agent.model import hours
from agent.model.reading import Finding
from agent.model.streams import Stream

Value = str | int | float | bool


class Origin(StrEnum):
    """Where a value came from; later ones win."""

    DEFAULT = "default"
    FILE = "file"
    POLICY = "policy"
    ENV = "env"
    FLAG = "flag"


class Shape(StrEnum):
    """What a text value must look like beyond its Python type."""

    PLAIN = "plain"
    CHOICE = "choice"
    ZONE = "zone"
    HOST = "host"
    URL = "url"
    PATH = "path"
    HOURS = "hours"
    STREAMS = "streams"


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of the manifest. ``restart``: the running agent takes it up at its next start."""

    name: str
    type: type[Any]
    default: Value
    help: str
    secret: bool = False
    choices: tuple[str, ...] = ()
    min: float | None = None
    max: float | None = None
    shape: Shape = Shape.PLAIN
    restart: bool = True

    @property
    def env(self) -> str:
        return "BRIDGEWORK_" + self.name.replace(".", "_").upper()

    @property
    def allowed(self) -> str:
        """In words, for the one clear line of a wrong value and for ``config list --json``."""
        if self.choices:
            return "one of " + ", ".join(choice or "empty" for choice in self.choices)
        if self.type is bool:
            return "true or false"
        if self.type in {int, float}:
            noun = "a whole number" if self.type is int else "a number"
            if self.min is not None and self.max is not None:
                return f"{noun} from {self.min:g} to {self.max:g}"
            return noun if self.min is None else f"{noun} of at least {self.min:g}"
        return {
            Shape.ZONE: "an IANA time zone such as America/Chicago, or empty",
            Shape.HOST: "a host name or address",
            Shape.URL: "an http:// or https:// address, or empty",
            Shape.PATH: "a path, or empty",
            Shape.HOURS: hours.ALLOWED,
            Shape.STREAMS: "streams separated by commas (not practice, provider, operatory, "
            "patient or appointment), or empty",
        }.get(self.shape, "text")


def _setting(default: Any, text: str, **rules: Any) -> Any:
    """A dataclass field that carries its manifest line (``Any`` so that the annotation rules)."""
    return dataclasses.field(
        default=default, repr=not rules.get("secret", False), metadata={"help": text, **rules}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PracticeSettings:
    zone: str = _setting(
        "",
        "Time zone of the practice (IANA name). Empty: taken from the practice's server.",
        shape=Shape.ZONE,
    )
    hours: str = _setting(
        "",
        "When the office is open, in its wall time, such as 'mon-fri 08:00-17:00; sat "
        "09:00-13:00'. Outside of it a quiet server is no trouble, and large tables are proven "
        "then where that is heavy work. Empty: always.",
        shape=Shape.HOURS,
    )
    names_in_lists: str = _setting(
        "short",
        "How lists of what waits for a person show whose record it is, to those who may decide. "
        "full: Example, Anna (1980-02-03); short: Anna E.; none: the record's number only.",
        choices=("full", "short", "none"),
    )
    language: str = _setting(
        "",
        "The practice's language, en or es: of commands that report, of the sentences the CRM "
        "shows the front desk, and of the window of who chose none. BRIDGEWORK_LANGUAGE and the "
        "window's own choice come before it. Empty: English; the window follows the computer.",
        choices=("", "en", "es"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PmsSettings:
    kind: str = _setting(
        "opendental",
        "Which practice system is read.",
        choices=("opendental", "dentrix", "eaglesoft", "sample"),
    )
    host: str = _setting("127.0.0.1", "Database server of the practice.", shape=Shape.HOST)
    port: int = _setting(3306, "TCP port of the database server.", min=1, max=65535)
    database: str = _setting("opendental", "Name of the database; the agent reads no other.")
    user: str = _setting("bridgework", "Database login; it needs SELECT and nothing else.")
    password: str = _setting("", "Password of the database login.", secret=True)
    config_file: str = _setting(
        "",
        "Path of FreeDentalConfig.xml or OpenDentalWebConfig.xml, to take host, database and "
        "login from where they are not set here. `bridgework doctor` names the files it finds.",
        shape=Shape.PATH,
    )
    odbc_connection: str = _setting(
        "",
        "Whole ODBC connection string, from the practice's IT or the vendor's sign-in program; "
        "wins over the other pms.odbc settings.",
        secret=True,
    )
    odbc_dsn: str = _setting("", "Name of an ODBC data source set up on this computer.")
    odbc_driver: str = _setting("", "Name of the ODBC driver, when there is no data source.")
    odbc_extra: str = _setting("", "Further keywords of the driver, such as Encryption=NONE.")
    odbc_encoding: str = _setting(
        "", "Encoding of the database's text where the driver misreports it, such as cp1252."
    )
    odbc_reader: str = _setting(
        "",
        "Path of another Python, or of the packaged reader, that loads the ODBC driver: a 32-bit "
        "driver needs a 32-bit one.",
        shape=Shape.PATH,
    )
    sqlite_path: str = _setting(
        "", "The sample practice's SQLite file (pms.kind = sample).", shape=Shape.PATH
    )
    sign_in: str = _setting(
        "",
        "The sign-in program registered with the maker of Dentrix. It is run when no connection "
        "string is stored; what it prints is stored, and dropped when the database refuses it.",
        shape=Shape.PATH,
    )
    product: str = _setting("", "Eaglesoft: product name in its maker's programme, for pms.token.")
    token: str = _setting(
        "",
        "Eaglesoft: token of the maker's programme. With it Eaglesoft's own settings object is "
        "asked for the connection string where none is set (Windows; not verified at a site).",
        secret=True,
    )
    signature: str = _setting(
        "",
        "Signature of the maker's programme for an authenticated Eaglesoft database. Without it "
        "such a database can be read and not written.",
        secret=True,
    )
    excluded_chairs: str = _setting(
        "",
        "Eaglesoft columns the office parks visits in, by number, separated by commas: a visit "
        "there is not coming.",
    )
    length_unit_min: str = _setting(
        "",
        "Dentrix: minutes that one unit of a visit's length stands for; bridgework diagnose shows "
        "the lengths in use. Empty: ends of visits are not sent.",
        choices=("", "1", "5", "10", "15"),
    )
    int_time: str = _setting(
        "",
        "Dentrix: how times of day are kept as one number; bridgework diagnose shows the numbers "
        "in use. Empty: times of blocks and calls are not sent.",
        choices=("", "minutes", "seconds", "hhmm"),
    )
    statement_limit_ms: int = _setting(
        100, "No statement may keep the practice's server busy longer.", min=10, max=10_000
    )
    max_duty: float = _setting(
        0.10, "Largest share of the time the agent may spend in statements.", min=0.01, max=1.0
    )
    writer: str = _setting(
        "auto",
        "How the practice system is written. auto: its API where it answers, else desk tasks; "
        "api: the API or nothing; sql: straight into an old Open Dental database (needs "
        "pms.sql_writes), or into what the licence of Dentrix or Eaglesoft opens; none: every "
        "command becomes a desk task.",
        choices=("auto", "api", "sql", "none"),
    )
    api_url: str = _setting(
        "",
        "Address of the Open Dental API, such as http://SRV1:30223/api/v1. Empty: the API Service "
        "(port 30223) and the local API (port 30222) of the practice's server are tried.",
        shape=Shape.URL,
    )
    api_developer_key: str = _setting(
        "", "Developer key of the Open Dental API: who made this agent.", secret=True
    )
    api_customer_key: str = _setting(
        "", "Customer key of the Open Dental API: this office allows it.", secret=True
    )
    sql_writes: bool = _setting(
        False,
        "Write straight into the database, against its maker's advice. Only Open Dental before "
        "21.4; newer ones hash every row, and there the agent refuses.",
    )
    write_user: str = _setting(
        "", "Database login for pms.sql_writes; the reading login stays without write rights."
    )
    write_password: str = _setting("", "Password of the writing login.", secret=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmSettings:
    url: str = _setting("", "Address of the CRM.", shape=Shape.URL)
    client_id: str = _setting("", "Who this agent is to the CRM; set by pairing.")
    proxy: str = _setting("", "HTTP proxy. Empty: the system's proxy is used.", shape=Shape.URL)
    ca_file: str = _setting(
        "",
        "More trusted certificates (PEM), for offices whose firewall inspects traffic.",
        shape=Shape.PATH,
    )
    timeout_s: float = _setting(30.0, "Longest wait for one answer.", min=1, max=600)
    endpoint_secret: str = _setting(
        "",
        "Secret (whsec_...) of a third party that signs its commands by HMAC; several, separated "
        "by spaces, while it is changed. The CRM itself needs none.",
        secret=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncSettings:
    gate_ms: int = _setting(
        50,
        "How often the agent asks whether a table moved; less than half as often while none does.",
        min=10,
        max=60_000,
    )
    overlap_s: int = _setting(
        1200, "How far a timestamp lane reads back over what it has read.", min=0, max=86_400
    )
    sweep_hot_s: int = _setting(
        600, "Hot records are proven equal at least this often.", min=5, max=604_800
    )
    sweep_warm_s: int = _setting(
        3600, "Warm records are proven equal at least this often.", min=5, max=604_800
    )
    sweep_cold_s: int = _setting(
        86_400, "All other records are proven equal at least this often.", min=5, max=2_592_000
    )
    page_rows: int = _setting(1000, "Most rows read by one statement.", min=10, max=1000)
    load_duty: float = _setting(
        0.35, "Largest share of the time the first load may spend in statements.", min=0.01, max=1.0
    )
    confirm_delete_s: int = _setting(
        900, "How long a vanished record stays vanished before it is believed.", min=0, max=86_400
    )
    settle_s: float = _setting(
        2.0, "How long to wait before a just-moved record is read again.", min=0, max=60
    )
    brake_rows: int = _setting(
        20, "Fewer deletions than this never pull the brake.", min=0, max=1_000_000
    )
    brake_share: float = _setting(
        0.01, "Deleting more than this share of a stream pulls the brake.", min=0, max=1
    )
    change_brake_share: float = _setting(
        0.20, "Changing more than this share of a stream pulls the brake.", min=0, max=1
    )
    skip_streams: str = _setting(
        "",
        "Streams that are not sent to the CRM, separated by commas. What it holds of them already "
        "stays there and is not kept up to date.",
        shape=Shape.STREAMS,
    )
    window_days: int = _setting(
        90, "Days around today that are read first and kept hottest.", min=1, max=3650
    )
    task_timeout_h: float = _setting(
        48.0,
        "How long a desk task waits for a person; then the CRM hears that it was not done.",
        min=1,
        max=720,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetySettings:
    mode: str = _setting(
        "normal",
        "What the agent may write to the practice. normal: all commands; canary: only what the "
        "safety.canary_* lists name; dry_run: plans and reports, writes nothing; read_only: "
        "refuses all commands; stopped: takes none up. The strictest of this, the CRM's switches "
        "and `bridgework safety set` holds.",
        choices=("normal", "canary", "dry_run", "read_only", "stopped"),
    )
    canary_operatories: str = _setting(
        "", "Operatory keys the canary mode may write to, separated by commas."
    )
    canary_providers: str = _setting(
        "", "Provider keys the canary mode may write to, separated by commas."
    )
    canary_patients: str = _setting(
        "", "Patient keys (test patients) the canary mode may write to, separated by commas."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlSettings:
    group: str = _setting(
        "",
        "System group whose members may resolve conflicts and change switches of the running "
        "agent; the agent's folder must let them through (chgrp GROUP, chmod 710). Empty: only its "
        "own account and the administrator may.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    port: int = _setting(
        0,
        "TCP port on this computer (127.0.0.1 only) where Prometheus may fetch the agent's "
        "figures, with the token of `bridgework metrics token`. 0: none.",
        min=0,
        max=65535,
    )
    token: str = _setting("", "Token for the figures' port; made by the agent.", secret=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsSettings:
    """Who is told when the agent misses what it promises. `bridgework alerts test` tries it."""

    email_to: str = _setting("", "Addresses that are told, separated by commas. Empty: none.")
    email_from: str = _setting("", "Sender of these e-mails. Empty: the first who is told.")
    smtp_host: str = _setting("127.0.0.1", "Mail server.", shape=Shape.HOST)
    smtp_port: int = _setting(587, "TCP port of the mail server.", min=1, max=65535)
    smtp_security: str = _setting(
        "starttls",
        "How the line to the mail server is kept private. none: only on this computer.",
        choices=("starttls", "tls", "none"),
    )
    smtp_user: str = _setting("", "Login at the mail server. Empty: it wants none.")
    smtp_password: str = _setting("", "Password of that login.", secret=True)
    webhook_url: str = _setting(
        "", "Address that is told by a signed POST (Standard Webhooks).", shape=Shape.URL
    )
    webhook_secret: str = _setting(
        "", "Secret (whsec_...) the messages to alerts.webhook_url are signed with.", secret=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalSettings:
    dir: str = _setting(
        "",
        "Folder of the journal. Empty: the agent's own folder. Never a network share.",
        shape=Shape.PATH,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    level: str = _setting(
        "info",
        "How much is logged.",
        choices=("debug", "info", "warning", "error"),
        restart=False,
    )
    json: bool = _setting(False, "The console log is JSON too; the file always is.")


@dataclass(frozen=True, slots=True, kw_only=True)
class MapSettings:
    file: str = _setting("", "CSV with this site's changes to the data map.", shape=Shape.PATH)
    carry_unknown: bool = _setting(
        True, "Columns the map does not know are carried along, not dropped."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateSettings:
    policy: str = _setting(
        "notify",
        "New versions. auto: installed by themselves outside the office hours, and taken back if "
        "they do not work as well; notify: the window says that there is one; managed: IT's own "
        "tool sees to it, nothing is asked for.",
        choices=("auto", "notify", "managed"),
    )
    url: str = _setting(
        "",
        "Where offers of new versions are asked for, such as a mirror of IT. Empty: the maker's "
        "place. Only offers signed with the maker's key are believed.",
        shape=Shape.URL,
    )
    look_s: int = _setting(21_600, "How often a new version is looked for.", min=5, max=604_800)
    settle_s: int = _setting(
        180,
        "How long a new version may take to work as well as the old one did; else the old one is "
        "put back.",
        min=10,
        max=1800,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The typed view. Secrets appear only if env or flag gave them; see ``secrets.read_secret``."""

    paths: Paths
    practice: PracticeSettings = PracticeSettings()
    pms: PmsSettings = PmsSettings()
    crm: CrmSettings = CrmSettings()
    sync: SyncSettings = SyncSettings()
    journal: JournalSettings = JournalSettings()
    log: LogSettings = LogSettings()
    map: MapSettings = MapSettings()
    safety: SafetySettings = SafetySettings()
    control: ControlSettings = ControlSettings()
    metrics: MetricsSettings = MetricsSettings()
    alerts: AlertsSettings = AlertsSettings()
    update: UpdateSettings = UpdateSettings()
    origins: Mapping[str, Origin] = dataclasses.field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    def value(self, name: str) -> Value:
        """By dotted name, which must be in the manifest."""
        section, _, key = MANIFEST[name].name.partition(".")
        found: Value = getattr(getattr(self, section), key)
        return found

    def origin(self, name: str) -> Origin:
        return self.origins.get(name, Origin.DEFAULT)

    @property
    def skipped_streams(self) -> frozenset[Stream]:
        names = (part.strip() for part in self.sync.skip_streams.split(","))
        return frozenset(Stream(name) for name in names if name)

    @property
    def journal_dir(self) -> Path:
        return Path(self.journal.dir) if self.journal.dir else self.paths.journal_dir


SECTIONS: Mapping[str, type[Any]] = {
    "practice": PracticeSettings,
    "pms": PmsSettings,
    "crm": CrmSettings,
    "sync": SyncSettings,
    "journal": JournalSettings,
    "log": LogSettings,
    "map": MapSettings,
    "safety": SafetySettings,
    "control": ControlSettings,
    "metrics": MetricsSettings,
    "alerts": AlertsSettings,
    "update": UpdateSettings,
}


def _default_of(field: dataclasses.Field[Any]) -> Value:
    default: Value = field.default  # type: ignore[assignment]  # every setting has one
    return default


def _manifest() -> dict[str, Setting]:
    lines: dict[str, Setting] = {}
    for section, view in SECTIONS.items():
        types = get_type_hints(view)
        for field in dataclasses.fields(view):
            rules = dict(field.metadata)
            rules.setdefault("shape", Shape.CHOICE if rules.get("choices") else Shape.PLAIN)
            name = f"{section}.{field.name}"
            lines[name] = Setting(
                name=name, type=types[field.name], default=_default_of(field), **rules
            )
    return lines


MANIFEST: Mapping[str, Setting] = _manifest()
