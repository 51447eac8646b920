"""Authenticode signatures: with a certificate file, a PKCS#11 token, or one made for testing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from installer.steps import call, need

_DIGEST = "sha256"


@dataclass(frozen=True, slots=True)
class Signer:
    """``certificate``: PEM. ``key``: PEM file, or a PKCS#11 URI together with ``module``.
    ``timestamp_url``: RFC 3161, or "" for none (then the signature ends with the certificate)."""

    certificate: Path
    key: str
    module: str = ""
    timestamp_url: str = ""

    def sign(self, file: Path, what: str) -> None:
        """Replaces the file by its signed form and verifies it."""
        signed = file.with_name(f"{file.name}.signed")
        signed.unlink(missing_ok=True)
        words: list[str | Path] = [
            need("osslsigncode", "osslsigncode"), "sign", "-certs", self.certificate,
            "-key", self.key, "-h", _DIGEST, "-n", what,
        ]  # fmt: skip
        if self.module:
            words += ["-pkcs11module", self.module]
        if self.timestamp_url:
            words += ["-ts", self.timestamp_url]
        if file.suffix == ".msi":
            words.append("-add-msi-dse")
        call([*words, "-in", file, "-out", signed], f"sign {file.name}")
        signed.replace(file)


def test_signer(folder: Path) -> Signer:
    """A certificate of our own that nobody trusts: good enough to prove that signing works."""
    folder.mkdir(parents=True, exist_ok=True)
    key, certificate = folder / "test.key", folder / "test.pem"
    if not certificate.exists():
        call(
            [
                need("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:3072", "-nodes",
                "-sha256", "-days", "3650", "-subj", "/O=Bridgework/CN=Bridgework test signing",
                "-addext", "extendedKeyUsage=codeSigning",
                "-addext", "keyUsage=critical,digitalSignature",
                "-keyout", key, "-out", certificate,
            ],
            "make a test certificate",
        )  # fmt: skip
        key.chmod(0o600)
    return Signer(certificate, str(key))
