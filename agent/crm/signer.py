"""Who signs for the CRM's address: the world's authorities, or something in between.

A proxy that looks into secure traffic shows a certificate of its own. Where the practice's IT has
installed that proxy's root, the line works and says nothing about it; where not, it fails and only
says "not trusted". Both are told apart here by looking at who signed. Nothing is sent.
"""

from __future__ import annotations

import socket
import ssl
from urllib.parse import urlsplit

import certifi
import msgspec
from cryptography import x509
from cryptography.x509.oid import NameOID

from agent.errors import CrmUnavailable


class Signer(msgspec.Struct, frozen=True):
    """``by``: organisation or name of the issuer. ``is_public``: the chain ends at an authority
    that every computer knows."""

    by: str
    is_public: bool


def look(url: str, timeout_s: float = 10.0) -> Signer | None:
    """None for an address without TLS. CrmUnavailable when nobody answers."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        return None
    host, port = parts.hostname, parts.port or 443
    public = ssl.create_default_context(cafile=certifi.where())
    certificate = _shown(host, port, public, timeout_s)
    if certificate is not None:
        return Signer(_issuer(certificate), True)
    open_eyed = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    open_eyed.check_hostname = False
    open_eyed.verify_mode = ssl.CERT_NONE  # only looked at: nothing is sent over this line
    certificate = _shown(host, port, open_eyed, timeout_s)
    if certificate is None:
        raise CrmUnavailable("crm.tls_failed", host=host)
    return Signer(_issuer(certificate), False)


def _shown(host: str, port: int, context: ssl.SSLContext, timeout_s: float) -> bytes | None:
    """The certificate of a line that could be made; None when TLS refused it."""
    try:
        with (
            socket.create_connection((host, port), timeout_s) as line,
            context.wrap_socket(line, server_hostname=host) as secure,
        ):
            return secure.getpeercert(binary_form=True)
    except ssl.SSLError:
        return None
    except OSError:
        raise CrmUnavailable(host=host) from None


def _issuer(certificate: bytes) -> str:
    try:
        issuer = x509.load_der_x509_certificate(certificate).issuer
    except ValueError:
        return ""
    for oid in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME):
        for attribute in issuer.get_attributes_for_oid(oid):
            return str(attribute.value)[:80]
    return ""
