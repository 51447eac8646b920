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


def page_context(stream: Stream, page: int) -> bytes:
    return f"content:page:{stream.value}/{page}".encode()


def command_context(column: str, command_id: str) -> bytes:
    return f"command:{column}:{command_id}".encode()


def effect_context(op_id: bytes) -> bytes:
    return b"effect:image:" + op_id


def conflict_context(stream: Stream, key: Key, field: str) -> bytes:
    return f"conflict:evidence:{stream.value}/{key}/{field}".encode()


def task_context(column: str, command_id: str) -> bytes:
    return f"task:{column}:{command_id}".encode()


def contact_context(column: str, cloud_id: str) -> bytes:
    return f"contact:{column}:{cloud_id}".encode()
