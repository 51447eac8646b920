"""What may leave the practice in a bundle: everything is put through here once more. Pure.

The log was redacted when it was written; this is the second sieve, and a stricter one, for a bundle
goes to other people. Numbers and names of records, requests, hosts and accounts become pseudonyms
that are the same all through one bundle and mean nothing outside it; text passes only in a shape
named here; all else is masked.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Mapping
from typing import Any

from agent.support.redaction import MASK, TEXT_FIELDS, VERSION, WORD, safe_name, safe_value

# Field -> what its pseudonym begins with.
IDS: Mapping[str, str] = {
    **dict.fromkeys(("key", "keys", "record", "pms_key", "row"), "rec"),
    **dict.fromkeys(("patient", "patient_key", "patnum"), "pat"),
    **dict.fromkeys(("command", "command_id", "request_id", "group"), "cmd"),
    **dict.fromkeys(("cloud_id", "contact", "into"), "con"),
    **dict.fromkeys(("host", "proxy_host", "server_host", "url", "netloc"), "host"),
    **dict.fromkeys(("user", "actor", "account", "uid"), "user"),
    **dict.fromkeys(("practice", "practice_id", "client_id", "database", "computer"), "name"),
    **dict.fromkeys(("path", "file", "folder"), "path"),
}
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)")
_FRAME = re.compile(r"(agent|drivers|gui)/[\w/]{1,80}\.py:\d{1,5} [\w<>.]{1,60}")
_LONG_DIGITS = re.compile(r"\d{7,}")
# Words of ours are lower case, in dots and underscores; classes of errors end like one. A name, a
# password or an address that got into such a field looks otherwise.
_OUR_WORD = re.compile(r"[a-z]+\d{0,3}(?:[_.:+-][a-z]+\d{0,3})*")
_ERROR = re.compile(
    r"[A-Z][A-Za-z]{0,40}(?:Error|Exception|Timeout|Refused|Unavailable|Busy|Drift|Damaged|Full"
    r"|Interrupt|Exit|Protocol|Connect|Read|Write)"
)
_DOTTED_NUMBER = re.compile(r"\d+\.\d+")
_MOST_ITEMS = 500
_MOST_DEPTH = 8

# What a person's own note may not carry out. Names cannot be told from other words: the form
# says so.
_NOTE = tuple(
    (re.compile(pattern, re.IGNORECASE), word)
    for pattern, word in (
        (r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", "[e-mail]"),
        (r"\b(?:mysql|mariadb|postgres\w*|odbc|https?)://\S+", "[address]"),
        (r"\b(?:pwd|password|passwd|uid|user id|server|dsn|token|secret|key)\s*[=:]\s*\S+",
         "[secret]"),
        (r"\beyJ[\w-]+\.[\w-]+\.?[\w-]*", "[token]"),
        (r"\b(?=\w*\d)(?=\w*[a-z])[\w-]{12,}\b", "[token]"),
        (r"\+?\d[\d\s().-]{6,}\d", "[number]"),
        (r"\b\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}\b", "[date]"),
    )
)  # fmt: skip


class Pseudonyms:
    """``of("pat", 123)`` gives ``pat-7f3a12``, the same for the same value in one bundle."""

    def __init__(self, salt: bytes | None = None) -> None:
        self._salt = salt or secrets.token_bytes(32)

    def of(self, kind: str, value: object) -> str:
        text = f"{kind}\0{value}".encode()
        return f"{kind}-{hmac.new(self._salt, text, hashlib.sha256).hexdigest()[:6]}"


class Scrub:
    """``codes``: words of the message catalogue, which pass as they are."""

    def __init__(self, pseudonyms: Pseudonyms, codes: Collection[str]) -> None:
        self._pseudonyms = pseudonyms
        self._codes = frozenset(codes)

    def value(self, name: str, value: object, depth: int = 0) -> Any:
        """The value as it may leave. ``name``: of its field."""
        kind = IDS.get(name)
        if kind is not None and isinstance(value, str | int) and not isinstance(value, bool):
            return self._pseudonyms.of(kind, value) if value not in ("", 0) else value
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, Mapping) and depth < _MOST_DEPTH:
            return {
                _name(str(key)): self.value(str(key), item, depth + 1)
                for key, item in list(value.items())[:_MOST_ITEMS]
            }
        if isinstance(value, list | tuple) and depth < _MOST_DEPTH:
            return [self.value(name, item, depth + 1) for item in value[:_MOST_ITEMS]]
        if isinstance(value, int | float):
            return safe_value(name, value)
        if isinstance(value, str):
            return value if self._passes(name, value) else MASK
        return MASK

    def _passes(self, name: str, value: str) -> bool:
        if not value or value in self._codes or _INSTANT.fullmatch(value):
            return True
        if name == "frames":
            return _FRAME.fullmatch(value) is not None
        shape = TEXT_FIELDS.get(name)
        if value == MASK or shape is None or safe_value(name, value) == MASK:
            return value == MASK
        if shape is WORD:
            return (_OUR_WORD.fullmatch(value) or _ERROR.fullmatch(value)) is not None
        return shape is not VERSION or _DOTTED_NUMBER.search(value) is not None


def _name(text: str) -> str:
    return safe_name(text) if _OUR_WORD.fullmatch(text) else "field"


def scrub_note(text: str) -> str:
    """A person's own words without what is no word: addresses, numbers, dates, tokens, secrets."""
    for pattern, word in _NOTE:
        text = pattern.sub(word, text)
    return _LONG_DIGITS.sub("[number]", text)
