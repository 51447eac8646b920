"""``agent.ports.PmsWriter`` over the Open Dental API: who answers, what is offered, what it said.

Finds the API (service, local, or the address IT gave), learns what this office's version and this
key allow, and turns every answer into done, refused, unknown or unavailable. A 401 has two
meanings, told apart by asking for something every key may see: the key is refused, and nothing is
asked for a while; or it lacks a permission, and that method alone is not used for a while.
Must not import an HTTP library (``link`` does).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
import structlog

from agent.errors import PmsBusy, PmsError, PmsUnavailable
from agent.model.commands import Reason
from agent.model.effects import (
    Effect,
    EffectKind,
    WriteRefused,
    WriterFacts,
    WriteUnknown,
    Written,
)
from agent.model.reading import Finding, Key, Severity
from drivers.opendental.api import methods
from drivers.opendental.api.calls import Body
from drivers.opendental.api.deeds import DEEDS, WholeTakenBack
from drivers.opendental.api.link import Answer, Link, is_this_machine
from drivers.opendental.api.methods import BLANKS, PAGE_ROWS, THROTTLE_S, WAYS, Group, Method, Mode
from drivers.opendental.office import Office

log = structlog.get_logger(__name__)

# A refused key is tried again no sooner: asking on could lock the office out. The engine probes
# every 300 s; a little less, so that each of its probes may ask.
KEY_REST_S = 290.0
LEARNT_S = 3600.0  # for so long a permission that was ordered meanwhile may go unnoticed
PROBE_DEADLINE_S = 15.0
KEY_REFUSED = "write.api_key_refused"
NOT_PERMITTED = "write.permission_missing"


class Keys(msgspec.Struct, frozen=True):
    """Who we are to the API. Never shown."""

    developer: str
    customer: str

    def __repr__(self) -> str:
        return "Keys()"


class Place(msgspec.Struct, frozen=True):
    """Where an API may answer."""

    url: str
    mode: Mode


def places(api_url: str, database_host: str) -> list[Place]:
    """Where to look, best first: the address IT gave and no other, else the API Service beside the
    database and on this machine, then a program on this machine."""
    if api_url:
        return [Place(api_url.rstrip("/"), mode_of(api_url))]
    hosts = dict.fromkeys(
        ["localhost" if is_this_machine(database_host) else database_host, "localhost"]
    )
    service = [
        Place(f"http://{host}:{methods.SERVICE_PORT}/api/v1", Mode.SERVICE) for host in hosts
    ]
    local = Place(f"http://localhost:{methods.LOCAL_PORT}/api/v1", Mode.LOCAL)
    return [*service, local]


def mode_of(api_url: str) -> Mode:
    address = urlsplit(api_url)
    if (address.hostname or "").lower() == methods.REMOTE_HOST:
        return Mode.REMOTE
    return Mode.LOCAL if address.port == methods.LOCAL_PORT else Mode.SERVICE


# In remote mode 400 is also said of an office that was lost on the way, when the request may have
# been carried out (API Implementation page, status codes). Its texts are not documented: only one
# that plainly speaks of the request itself is believed to be a refusal.
_LOST = ("econnector", "timeout", "timed out", "time out", "network", "connect", "lost")
_WRONG = ("required", "invalid", "must", "format", "exist", "duplicate", "not found", "not allowed",
          "only", "cannot", "version")  # fmt: skip
_ABSENT = (
    ("patient", Reason.PATIENT_NOT_FOUND, "write.patient_gone"),
    ("patnum", Reason.PATIENT_NOT_FOUND, "write.patient_gone"),
    ("guarantor", Reason.PATIENT_NOT_FOUND, "write.patient_gone"),
    ("operatory", Reason.OPERATORY_INVALID, "write.operatory_invalid"),
    ("op ", Reason.OPERATORY_INVALID, "write.operatory_invalid"),
    ("prov", Reason.PROVIDER_NOT_FOUND, "write.provider_gone"),
)


class ApiWriter:
    """``agent.ports.PmsWriter``. ``open_office``: a fresh look at the practice's database."""

    def __init__(
        self,
        where: Sequence[Place],
        keys: Keys,
        open_office: Callable[[], Office],
        *,
        mono: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        throttle_s: Mapping[Mode, float] = THROTTLE_S,
        deadline_s: float | None = None,
    ) -> None:
        self._where = tuple(where)
        self._keys = keys
        self._open_office = open_office
        self._mono = mono
        self._sleep = sleep
        self._throttle_s = throttle_s
        self._deadline_s = deadline_s
        self._link: Link | None = None
        self._mode = Mode.SERVICE
        self._office: Office | None = None
        self._refused: dict[Method, str] = {}
        self._learnt_at: float | None = None
        self._learnt_of: tuple[str, tuple[int, ...]] = ("", ())
        self._group_findings: list[Finding] = []
        self._key_refused_at: float | None = None
        self._facts: WriterFacts | None = None
        self._done = 0

    @property
    def office(self) -> Office:
        if self._office is None:
            raise PmsUnavailable("pms.not_probed")
        return self._office

    # --- probing --------------------------------------------------------------------------------

    def probe(self) -> WriterFacts:
        """Raises PmsUnavailable when the database or no API answers; a refused key is a finding."""
        at = self._key_refused_at
        if self._facts is not None and at is not None and self._mono() - at < KEY_REST_S:
            return self._facts
        self._key_refused_at = None
        self._renew_office()
        findings = self._find_api()
        if not self._is_key_lost:
            self._learn_groups()
        found = [*findings, *self._group_findings]
        facts = self._lost() if self._is_key_lost else self._summed_up(found)
        self._facts = facts
        log.info(
            "pms.api_probed", mode=self._mode, abilities=len(facts.abilities),
            host=self._link.host if self._link else "",
        )  # fmt: skip
        return facts

    def _renew_office(self) -> None:
        old, self._office = self._office, None
        if old is not None:
            old.close()
        try:
            self._office = self._open_office()
        except PmsUnavailable:
            raise
        except PmsError as error:
            raise PmsUnavailable(error.code, **error.facts) from None

    def _find_api(self) -> list[Finding]:
        self._drop_link()
        last: PmsUnavailable | None = None
        for place in self._where:
            link = self._make_link(place)
            try:
                answer = _greet(link)
            except PmsUnavailable as error:
                link.close()
                last = error
                continue
            # 400 and 404 are the API's as well: an office too old for this very method.
            is_api = answer.status in (400, 401, 404) or isinstance(answer.content, list | dict)
            if answer.status not in (200, 400, 401, 404) or not is_api:
                link.close()
                last = PmsUnavailable("write.api_answer_odd", status=answer.status)
                continue
            self._link, self._mode = link, place.mode
            return self._heard(answer, link.host)
        raise last or PmsUnavailable("write.api_unreachable")

    def _make_link(self, place: Place) -> Link:
        limits = {} if self._deadline_s is None else {"deadline_s": self._deadline_s}
        return Link(
            place.url, self._keys.developer, self._keys.customer,
            pause_s=self._throttle_s[place.mode], mono=self._mono, sleep=self._sleep, **limits,
        )  # fmt: skip

    def _heard(self, answer: Answer, host: str) -> list[Finding]:
        if answer.status == 401:
            self._rest()
            return []
        facts = {"host": host, "mode": self._mode.value}
        found = [Finding("write.api_found", Severity.OK, {**facts})]
        if self._mode is Mode.LOCAL:
            found.append(Finding("write.api_local", Severity.WARNING))
        if self._mode is Mode.SERVICE and not is_this_machine(host):
            found.append(Finding("write.api_unencrypted", Severity.NOTE, {"host": host}))
        return found

    def _learn_groups(self) -> None:
        """Anew for another place or version, and after some hours; not at every probe."""
        now, of = self._mono(), (self._reached().host, self.office.version)
        if (
            self._learnt_at is not None
            and of == self._learnt_of
            and now - self._learnt_at < LEARNT_S
        ):
            return
        self._refused.clear()
        self._group_findings = self._try_blanks()
        self._learnt_at, self._learnt_of = now, of
        if self._refused and self._is_key_refused():  # since it was greeted a moment ago
            self._rest()

    def _try_blanks(self) -> list[Finding]:
        """One request a permission that can do nothing: it lacks what its method requires."""
        found: list[Finding] = []
        for group, method in BLANKS.items():
            facts: dict[str, str | int | float | None] = {"permission": group.value}
            if not method.is_in(self.office.version):
                continue
            try:
                answer = self._reached().send(method.verb, method.path, {})
            except (PmsUnavailable, WriteUnknown):
                found.append(Finding("write.not_verified", Severity.NOTE, facts))
                continue
            if answer.status in (401, 403):
                self._refuse_group(group)
                found.append(Finding(NOT_PERMITTED, Severity.WARNING, facts))
            elif answer.status != 400:
                found.append(Finding("write.not_verified", Severity.NOTE, facts))
        return found

    def _refuse_group(self, group: Group) -> None:
        for ways in WAYS.values():
            for way in ways:
                for method in way:
                    if method.group is group:
                        self._refused[method] = NOT_PERMITTED

    def _is_key_refused(self) -> bool:
        """Raises PmsUnavailable when that could not be found out."""
        answer = _greet(self._reached())
        if answer.status not in (200, 400, 401, 404):
            raise PmsUnavailable("write.api_answer_odd", status=answer.status)
        return answer.status == 401

    def _rest(self) -> None:
        """Nothing is asked with this key for a while, and all it was allowed is asked anew then."""
        self._key_refused_at = self._mono()
        self._learnt_at = None
        log.warning("pms.api_key_refused", host=self._reached().host)

    def _lost(self) -> WriterFacts:
        """With a key that is refused."""
        facts: dict[str, str | int | float | None] = {"host": self._reached().host}
        return self._summed_up([Finding(KEY_REFUSED, Severity.ERROR, facts)])

    def _summed_up(self, findings: Sequence[Finding]) -> WriterFacts:
        missing = {kind: code for kind in WAYS if (code := self._why_not(kind))}
        return WriterFacts(
            kind="api",
            mode=self._mode.value,
            version=".".join(map(str, self.office.version)),
            abilities=frozenset(WAYS.keys() - missing.keys()),
            missing=missing,
            findings=tuple(findings),
        )

    def _why_not(self, kind: EffectKind) -> str:
        """ "" when some way is open; else why the best of them is not."""
        why = ""
        for way in WAYS[kind]:
            closed = [code for method in way if (code := self.why_not(method))]
            if not closed:
                return ""
            why = why or closed[0]
        return why

    def why_not(self, method: Method) -> str:
        """ "" when it may be called."""
        if self._is_key_lost:
            return KEY_REFUSED
        if not method.is_in(self.office.version):
            return "write.version_too_old"
        return self._refused.get(method, "")

    # --- writing --------------------------------------------------------------------------------

    def write(self, effect: Effect) -> Written:
        if self._link is None or self._office is None:
            raise PmsUnavailable("pms.not_probed")
        closed = self._why_not(effect.kind)
        if closed:
            reason = (
                Reason.NOT_SUPPORTED
                if closed == "write.version_too_old"
                else Reason.PERMISSION_DENIED
            )
            raise WriteRefused(reason, closed)
        self._done = 0
        try:
            return DEEDS[effect.kind](self, effect)
        except WholeTakenBack as whole:
            raise whole.refusal from None
        except WriteRefused as refusal:
            if self._done:
                raise WriteUnknown("write.partly_done") from None
            log.info("pms.write_refused", kind=effect.kind, reason=refusal.reason,
                     code=refusal.code)  # fmt: skip
            raise
        except PmsError as error:
            if self._done:
                raise WriteUnknown("write.partly_done") from None
            if isinstance(error, PmsUnavailable):
                raise
            raise PmsUnavailable(error.code, **error.facts) from None

    def do(self, method: Method, key: Key | None, body: Body | None) -> Answer:
        """One changing call. Raises WriteRefused, WriteUnknown, PmsUnavailable."""
        closed = self.why_not(method)
        if closed == "write.version_too_old":
            raise WriteRefused(Reason.NOT_SUPPORTED, closed)
        if closed:
            raise WriteRefused(Reason.PERMISSION_DENIED, closed)
        path = method.path if key is None else method.path.replace("{key}", str(int(key)))
        answer = self._reached().send(method.verb, path, body)
        if answer.is_good:
            self._done += 1
            return answer
        raise self._bad(method, answer)

    def listed(self, method: Method, query: Mapping[str, str]) -> list[dict[str, Any]]:
        return list(self._reached().pages(method.path, query, PAGE_ROWS[self._mode]))

    def has(self, method: Method, field: str = "") -> bool:
        """The office's version has the method, or the field of it; and nobody refused it to us."""
        since = methods.FIELDS_SINCE.get((method, field), "")
        if since and self.office.version < tuple(map(int, since.split("."))):
            return False
        return not self.why_not(method)

    def close(self) -> None:
        self._drop_link()
        if self._office is not None:
            self._office.close()
            self._office = None

    def _reached(self) -> Link:
        if self._link is None:
            raise PmsUnavailable("write.api_unreachable")
        return self._link

    def _drop_link(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _bad(self, method: Method, answer: Answer) -> WriteRefused | WriteUnknown | PmsUnavailable:
        """What an answer other than success means. Its text is read for words, never passed on."""
        status = answer.status
        if status in (401, 403):
            return self._denied(method)
        if status == 404:
            return _absent(answer.words)
        if status in (405, 410):
            self._learn(method, "write.version_too_old")
            return WriteRefused(Reason.NOT_SUPPORTED, "write.version_too_old")
        if status == 400:
            words = answer.words
            if self._mode is Mode.REMOTE and (
                any(word in words for word in _LOST) or not any(word in words for word in _WRONG)
            ):
                return WriteUnknown("write.office_lost")
            if "version" in words:
                self._learn(method, "write.version_too_old")
                return WriteRefused(Reason.NOT_SUPPORTED, "write.version_too_old")
            return WriteRefused(Reason.VALIDATION_FAILED, "write.not_accepted")
        if status == 413:
            return WriteRefused(Reason.VALIDATION_FAILED, "write.text_too_long")
        if status == 429:
            return PmsBusy("write.api_throttled")
        return WriteUnknown("write.no_answer" if status == 504 else "write.server_error")

    def _denied(self, method: Method) -> WriteRefused | PmsUnavailable:
        """Nothing was done; nothing is learnt unless it is known which of the two it means."""
        try:
            is_key = self._is_key_refused()
        except PmsUnavailable as error:
            return error
        if is_key:
            self._rest()
            self._facts = self._lost()
            return WriteRefused(Reason.PERMISSION_DENIED, KEY_REFUSED)
        self._learn(method, NOT_PERMITTED)
        return WriteRefused(Reason.PERMISSION_DENIED, NOT_PERMITTED)

    def _learn(self, method: Method, why: str) -> None:
        """Not asked again for a while; the abilities shrink at once."""
        self._refused[method] = why
        facts: dict[str, str | int | float | None] = {"method": method.name}
        finding = Finding("write.method_refused", Severity.WARNING, facts)
        self._group_findings.append(finding)
        before = () if self._facts is None else self._facts.findings
        self._facts = self._summed_up((*before, finding))
        log.warning("pms.api_method_refused", code=why, host=self._reached().host)

    @property
    def facts(self) -> WriterFacts | None:
        """As last known: what use has taught since the probe included. None before the first."""
        return self._facts

    @property
    def settings(self) -> object:
        """``agent.ports.LearningWriter``. Keys: to be compared, never to be shown."""
        return (self._where, self._keys)

    @property
    def _is_key_lost(self) -> bool:
        return self._key_refused_at is not None


def _greet(link: Link) -> Answer:
    """What every key may see. Raises PmsUnavailable."""
    query = {"PrefName": "ProgramVersion"}
    return link.get(methods.PREFERENCES.path, query, deadline_s=PROBE_DEADLINE_S)


def _absent(words: str) -> WriteRefused:
    for piece, reason, code in _ABSENT:
        if piece in words:
            return WriteRefused(reason, code)
    return WriteRefused(Reason.VERSION_CONFLICT, "write.record_gone")
