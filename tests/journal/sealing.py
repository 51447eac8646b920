"""A seal for tests: real authenticated encryption, a fixed key."""

from __future__ import annotations

import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class TestSeal:
    """AES-GCM with the context as associated data, as the product seals."""

    __test__ = False

    def __init__(self) -> None:
        self._cipher = AESGCM(b"k" * 32)

    def seal(self, plain: bytes, context: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + self._cipher.encrypt(nonce, plain, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        return self._cipher.decrypt(sealed[:12], sealed[12:], context)
