"""Sealing of payload columns: the port, and the contexts that tie a sealed value to its place."""

from __future__ import annotations

from typing import Protocol

from agent.model.reading import Key
from agent.model.streams import Stream


class Seal(Protocol):
    """Encrypts payload columns; AES-GCM with a key from the keyring, in agent.config.secrets."""

    def seal(self, plain: bytes, context: bytes) -> bytes: ...
    def open(self, sealed: bytes, context: bytes) -> bytes: ...


def batch_context(column: str, batch_id: str) -> bytes:
    return f"batch:{column}:{batch_id}".encode()


def content_context(stream: Stream, key: Key) -> bytes:
    return f"content:canon:{stream.value}/{key}".encode()
