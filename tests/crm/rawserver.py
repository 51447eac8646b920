"""Small peers for the transport tests: a raw TCP server that misbehaves, a proxy, a private CA."""

from __future__ import annotations

import contextlib
import ipaddress
import select
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class RawServer:
    """Runs ``script(conn, n)`` in a thread for the n-th connection (from 0)."""

    def __init__(
        self,
        script: Callable[[socket.socket, int], None],
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._script = script
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        self.connections = 0
        self.stopping = threading.Event()
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for conn in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                conn.shutdown(socket.SHUT_RDWR)
            conn.close()

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                conn, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(conn)
            number, self.connections = self.connections, self.connections + 1
            threading.Thread(target=self._serve, args=(conn, number), daemon=True).start()

    def _serve(self, conn: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError, ValueError):
            talking = conn
            if self._context is not None:
                talking = self._context.wrap_socket(conn, server_side=True)
            try:
                self._script(talking, number)
            finally:
                talking.close()


def read_request(conn: socket.socket) -> tuple[bytes, bytes]:
    """(head, body) of one request with a Content-Length; (b"", b"") at the end of the stream."""
    seen = b""
    while b"\r\n\r\n" not in seen:
        part = conn.recv(65536)
        if not part:
            return b"", b""
        seen += part
    head, _, body = seen.partition(b"\r\n\r\n")
    size = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            size = int(value)
    while len(body) < size:
        body += conn.recv(65536)
    return head, body


def answer(
    body: bytes = b"{}",
    status: str = "200 OK",
    media: str = "application/json",
    extra: str = "",
    length: int | None = None,
) -> bytes:
    size = len(body) if length is None else length
    head = f"HTTP/1.1 {status}\r\nContent-Type: {media}\r\nContent-Length: {size}\r\n{extra}\r\n"
    return head.encode() + body


class ForwardProxy:
    """A proxy for CONNECT tunnels and absolute-form requests; records what passed."""

    def __init__(self, authorization: str | None = None) -> None:
        self.seen: list[bytes] = []
        self._authorization = authorization
        self._server = RawServer(self._serve)
        self.port = self._server.port

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()

    def _serve(self, conn: socket.socket, _: int) -> None:
        head, body = read_request(conn)
        line, *headers = head.split(b"\r\n")
        self.seen.append(line)
        if self._authorization is not None:
            wanted = f"proxy-authorization: {self._authorization}".lower().encode()
            if wanted not in [header.lower() for header in headers]:
                refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
                conn.sendall(refusal)
                return
        method, target, _ = line.split(b" ")
        if method == b"CONNECT":
            host, _, port = target.partition(b":")
            with socket.create_connection((host.decode(), int(port))) as upstream:
                conn.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                _pipe(conn, upstream)
            return
        rest = target.removeprefix(b"http://")
        host_port, _, path = rest.partition(b"/")
        host, _, port = host_port.partition(b":")
        with socket.create_connection((host.decode(), int(port))) as upstream:
            lines = [method + b" /" + path + b" HTTP/1.1", *headers]
            upstream.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + body)
            _pipe(conn, upstream)


def _pipe(one: socket.socket, two: socket.socket) -> None:
    while True:
        ready, _, _ = select.select([one, two], [], [], 10)
        if not ready:
            return
        for source in ready:
            part = source.recv(65536)
            if not part:
                return
            (two if source is one else one).sendall(part)


def make_authority(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A private CA (its certificate as a PEM file) and a server context for 127.0.0.1 under it."""
    now = datetime.now(UTC)
    day = timedelta(days=1)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test office CA")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    ca = (
        x509.CertificateBuilder()
        .subject_name(ca_name)
        .issuer_name(ca_name)
        .public_key(ca_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    leaf = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(ca_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    ca_file, leaf_file = folder / "ca.pem", folder / "leaf.pem"
    ca_file.write_bytes(ca.public_bytes(pem))
    leaf_file.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + leaf.public_bytes(pem)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf_file)
    return ca_file, context
