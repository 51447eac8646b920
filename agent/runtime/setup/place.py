"""Where the practice system is: what each kind asks for, what was found, testing, keeping.

A kind of practice system is whatever the setting ``pms.kind`` allows; one nobody wrote a form for
gets the fields of its own settings. A place is kept only after the driver's own diagnosis passed.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.config import MANIFEST, Origin, Settings, load_settings
from agent.config.secrets import Secrets, read_secret
from agent.config.store import drop_setting, save_setting
from agent.config.values import find_setting, parse
from agent.errors import AgentError, ConfigError
from agent.model.reading import Finding, Severity
from agent.model.setup import FoundPage, FoundPms, KindView, PlaceField, TestView, Value
from agent.runtime.setup.state import place_settings
from agent.runtime.sources import open_source
from drivers.finding import find_systems

TITLES = {
    "opendental": "Open Dental",
    "dentrix": "Dentrix",
    "eaglesoft": "Eaglesoft",
    "sample": "Sample practice (to try it out)",
}
_FORMS: dict[str, tuple[str, ...]] = {
    "opendental": ("pms.host", "pms.database", "pms.user", "pms.password", "pms.port",
                   "pms.config_file", "pms.api_developer_key", "pms.api_customer_key"),
    "sample": ("pms.sqlite_path",),
}  # fmt: skip
_LABELS = {
    "pms.host": "Server",
    "pms.port": "Port",
    "pms.database": "Database",
    "pms.user": "Login",
    "pms.password": "Password",
    "pms.config_file": "Open Dental's own file",
    "pms.sqlite_path": "File",
    "pms.dsn": "Data source (ODBC)",
    "pms.api_developer_key": "Developer key of its API (to write)",
    "pms.api_customer_key": "Customer key of its API (to write)",
}
_KEYS = frozenset({"pms.api_developer_key", "pms.api_customer_key"})
_OPTIONAL = frozenset({"pms.config_file", "pms.password"}) | _KEYS
_ADVANCED = frozenset({"pms.port", "pms.config_file"}) | _KEYS


def kinds(settings: Settings, secrets: Secrets) -> tuple[KindView, ...]:
    choices = MANIFEST["pms.kind"].choices
    ordered = sorted(choices, key=lambda kind: (kind == "sample", choices.index(kind)))
    return tuple(
        KindView(
            kind,
            TITLES.get(kind, kind.capitalize()),
            tuple(_field(name, settings, secrets) for name in form_of(kind)),
        )
        for kind in ordered
    )


def form_of(kind: str) -> tuple[str, ...]:
    """Names of the settings a person fills in for this kind."""
    form = _FORMS.get(kind)
    if form is not None:
        return form
    own = [
        line.name
        for line in MANIFEST.values()
        if line.name.startswith((f"pms.{kind}_", "pms.dsn", "pms.odbc"))
    ]
    return (*own, "pms.host", "pms.user", "pms.password")


def _field(name: str, settings: Settings, secrets: Secrets) -> PlaceField:
    line = MANIFEST[name]
    return PlaceField(
        setting=name,
        label=_LABELS.get(name, name.rpartition(".")[2].replace("_", " ").capitalize()),
        help=line.help,
        value="" if line.secret else str(settings.value(name)),
        secret=line.secret,
        is_set=bool(read_secret(settings, secrets, name)) if line.secret else False,
        required=name not in _OPTIONAL,
        locked=is_locked(settings, name),
        advanced=name in _ADVANCED,
    )


def is_locked(settings: Settings, name: str) -> bool:
    """A stronger layer says it: what is saved in the file would not hold."""
    return settings.origin(name) in {Origin.POLICY, Origin.ENV, Origin.FLAG}


def found_page(settings: Settings, secrets: Secrets, *, chosen: bool) -> FoundPage:
    found = tuple(
        FoundPms(
            kind=each.kind,
            title=TITLES.get(each.kind, each.kind),
            how=each.how,
            where=each.where,
            settings=each.settings,
            has_password=bool(each.password),
            findings=each.findings,
        )
        for each in find_systems()
    )
    return FoundPage(found, kinds(settings, secrets), settings.pms.kind if chosen else "")


def try_place(
    given: Mapping[str, Value], secret: Mapping[str, str], settings: Settings, secrets: Secrets
) -> TestView:
    """Diagnose a place without keeping it. ConfigError for a setting that is none or wrong."""
    overlay = _checked(given, secret)
    trial = load_settings({**_kept_flags(settings), **overlay}, home=settings.paths.home)
    store = _Held(secret, secrets)
    try:
        steps = open_source(trial, store).diagnose()
    except AgentError as error:
        facts = {**error.facts, "step": "settings"}
        steps = [Finding(error.code, Severity.ERROR, facts)]
    works = bool(steps) and not any(step.severity is Severity.ERROR for step in steps)
    return TestView(tuple(steps), works)


def keep_place(
    given: Mapping[str, Value], secret: Mapping[str, str], settings: Settings, secrets: Secrets
) -> None:
    """Save what was tested. Fields of the form left out go back to their defaults, so that nothing
    of an earlier place lingers; a file of answers may say more of ``pms.*`` than the form asks."""
    overlay = _checked(given, secret)
    file = settings.paths.config_file
    for name in dict.fromkeys((*place_settings(), *overlay)):
        value = overlay.get(name, MANIFEST[name].default)
        if value != MANIFEST[name].default:
            save_setting(file, name, value)
        elif settings.origin(name) is Origin.FILE:
            drop_setting(file, name)
    for name, value in secret.items():
        secrets.set(name, value)


def _checked(given: Mapping[str, Value], secret: Mapping[str, str]) -> dict[str, Value]:
    overlay: dict[str, Value] = {}
    for name, value in given.items():
        line = find_setting(name, "setup")
        if line.secret or not name.startswith("pms."):
            raise ConfigError("setup.not_a_place", setting=name)
        overlay[name] = parse(line, value, "setup")
    for name, value in secret.items():
        if not find_setting(name, "setup").secret:
            raise ConfigError("setup.not_a_place", setting=name)
        parse(MANIFEST[name], value, "setup")
    return overlay


def _kept_flags(settings: Settings) -> dict[str, object]:
    """Flags of this process still hold beside what is tried."""
    return {
        name: settings.value(name)
        for name, origin in settings.origins.items()
        if origin is Origin.FLAG
    }


class _Held:
    """The store with what was just typed over it; writes nothing."""

    is_fallback = False

    def __init__(self, typed: Mapping[str, str], store: Secrets) -> None:
        self._typed = typed
        self._store = store

    def get(self, name: str) -> str | None:
        return self._typed.get(name) or self._store.get(name)

    def set(self, name: str, value: str) -> None:
        raise NotImplementedError

    def delete(self, name: str) -> None:
        raise NotImplementedError

    def findings(self) -> tuple[Finding, ...]:
        return ()
