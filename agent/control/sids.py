"""The service's name, its account's security identifier, and who may touch its folder. Pure.

Source: Microsoft, "Service accounts: virtual accounts": S-1-5-80 followed by the SHA-1 of the
upper-cased UTF-16 name as five 32-bit numbers.
"""

from __future__ import annotations

import hashlib
import struct

SERVICE = "Bridgework"


def service_sid(name: str) -> str:
    digest = hashlib.sha1(name.upper().encode("utf-16-le"), usedforsecurity=False).digest()
    return "S-1-5-80-" + "-".join(map(str, struct.unpack("<5I", digest)))


def folder_sddl(service: str) -> str:
    """Full rights for the system, administrators and the service; nobody else reads or writes.

    Protected: what the parent folder would hand down does not apply.
    """
    whole = "(A;OICI;FA;;;{})"
    who = ("SY", "BA", service_sid(service))
    return "D:PAI" + "".join(whole.format(sid) for sid in who)
