"""The offer of a new version, signed; and its public half, which the build carries.

``update.json`` goes to where ``product.update_url`` of the pins points, beside the MSI. The private
key is the maker's: whoever holds it can install on every computer whose policy is "auto". Keep it
off the build machine where you can, and sign there with ``python3 -m installer.release``.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from agent.runtime.updates.seal import PREFIX, SOURCE_FILE
from installer.steps import BuildError

__all__ = ["OFFER", "SOURCE_FILE", "UpdateKey", "offer_of", "source_file", "update_key"]

OFFER = "update.json"


@dataclass(frozen=True, slots=True)
class UpdateKey:
    """The pair. ``public``: base64 of its 32 bytes."""

    private: Ed25519PrivateKey

    @property
    def public(self) -> str:
        raw = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return base64.b64encode(raw).decode()

    def seal(self, offer: str) -> bytes:
        """The file an agent asks for."""
        mark = base64.b64encode(self.private.sign(PREFIX + offer.encode())).decode()
        return json.dumps({"release": offer, "signatures": [mark]}, indent=1).encode()


def update_key(file: Path) -> UpdateKey:
    """Read, or made where there is none. BuildError for a key of another kind."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = Ed25519PrivateKey.generate()
        pem = fresh.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as stream:
            stream.write(pem)
    key = load_pem_private_key(file.read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise BuildError(f"{file} is no ed25519 key.")
    return UpdateKey(key)


def offer_of(msi: Path, version: str, folder_url: str, notes: str = "") -> str:
    """JSON text of ``agent.model.updates.Release`` for this very file."""
    content = msi.read_bytes()
    return json.dumps(
        {
            "version": version,
            "url": f"{folder_url.rstrip('/')}/{msi.name}",
            "sha256": hashlib.sha256(content).hexdigest(),
            "size": len(content),
            "notes": notes,
        },
        sort_keys=True,
    )


def source_file(url: str, public: str) -> bytes:
    """What the build carries: where to ask, whom to believe."""
    return json.dumps({"url": url, "keys": [public]}).encode()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Sign the offer of an MSI as update.json.")
    parser.add_argument("msi", type=Path)
    parser.add_argument("--version", required=True)
    parser.add_argument("--url", required=True, metavar="FOLDER", help="where the MSI will be")
    parser.add_argument("--key", required=True, type=Path, metavar="PEM")
    parser.add_argument("--notes", default="", metavar="URL", help="what is new")
    asked = parser.parse_args(arguments)
    offer = offer_of(asked.msi, asked.version, asked.url, asked.notes)
    Path(OFFER).write_bytes(update_key(asked.key).seal(offer))
    print(f"{OFFER}: {asked.version}, {asked.msi.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
