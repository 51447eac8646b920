"""The one seam to the operating system: a listening place and the lines to it, and who calls.

A Unix socket here; on Windows the same two functions open a named pipe (``pipe``, not run here).
Imports agent.errors by way of protocol only.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import stat
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.control.ends import Line, Listener, Peer
from agent.control.protocol import ControlError
from agent.model.asking import Role

if sys.platform != "win32":
    import grp
    import pwd

_SUN_PATH_BYTES = 104  # the shortest limit of the Unixes
_BACKLOG = 32
_CHUNK_BYTES = 65_536


def role_of(peer: Peer, group: str, own_uid: int) -> Role:
    """Own account or root: admin. A member of ``group``: manager. Anybody else may look."""
    if peer.granted is not None:
        return peer.granted
    if peer.uid in {0, own_uid}:
        return Role.ADMIN
    return Role.MANAGER if peer.uid >= 0 and _is_member(peer, group) else Role.VIEWER


class SocketLine:
    """A connected line. One thread may receive while another sends; ``hang_up`` wakes both."""

    def __init__(self, sock: socket.socket) -> None:
        self.peer = _peer_of(sock)
        # Two handles of one socket: each direction has a time limit of its own.
        self._in = sock
        self._out = sock.dup()

    def receive(self, timeout_s: float | None) -> bytes:
        """What has come, b"" at the end. TimeoutError, OSError."""
        # Never a socket that blocks: the other handle shares that mode.
        self._in.settimeout(86_400.0 if timeout_s is None else max(timeout_s, 0.001))
        return self._in.recv(_CHUNK_BYTES)

    def send(self, content: bytes, timeout_s: float) -> None:
        """All of it. After a TimeoutError part may have left: only ``close`` makes sense."""
        self._out.settimeout(timeout_s)
        self._out.sendall(content)

    def hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self._in.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.hang_up()
        self._in.close()
        self._out.close()


class SocketListener:
    """The place clients call. ``accept`` from one thread, ``close`` from any."""

    def __init__(self, sock: socket.socket, path: Path) -> None:
        self._sock = sock
        self._path = path
        self._inode = path.stat().st_ino
        self._closed = False
        self._wake_in, self._wake_out = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(sock, selectors.EVENT_READ)
        self._selector.register(self._wake_in, selectors.EVENT_READ)
        sock.setblocking(False)

    def accept(self) -> SocketLine | None:
        """The next caller; None once closed. OSError when the system has no handle to spare."""
        while True:
            self._selector.select()
            if self._closed:
                return None
            try:
                sock, _ = self._sock.accept()
            except (BlockingIOError, ConnectionAbortedError):
                continue
            try:
                return SocketLine(sock)
            except OSError:
                sock.close()
                raise

    def close(self) -> None:
        """Take the place away; who is connected stays. ``accept`` returns None."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == self._inode:  # else it is another agent's by now
                self._path.unlink()
        with contextlib.suppress(OSError):
            self._wake_out.send(b"x")

    def release(self) -> None:
        """Free the handles; after ``accept`` has returned None."""
        self._selector.close()
        for sock in (self._sock, self._wake_in, self._wake_out):
            sock.close()


def listen(path: Path, group: str = "") -> Listener:
    """Listen at ``path``: mode 0600, or 0660 and of ``group`` when one is named.

    A place left by a dead agent is taken over. ControlError: control.in_use,
    control.cannot_listen.
    """
    if sys.platform == "win32":
        from agent.control.pipe import listen_pipe

        return listen_pipe(path, group)
    if _answers(path):
        raise ControlError("control.in_use")
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        draft.unlink(missing_ok=True)
        with _reachable(draft) as name:
            sock.bind(name)
        draft.chmod(0o600)
        gid = _gid_of(group)
        if gid is not None:
            with contextlib.suppress(PermissionError):  # not a member ourselves: stays 0600
                os.chown(draft, -1, gid)
                draft.chmod(0o660)
        # Nobody can call before this; the rename puts a place of the right mode there at once.
        sock.listen(_BACKLOG)
        draft.replace(path)
        return SocketListener(sock, path)
    except OSError as error:
        sock.close()
        draft.unlink(missing_ok=True)
        raise ControlError("control.cannot_listen", errno=error.errno) from None


def lets_through(folder: Path, group: str) -> bool:
    """Whether members of ``group`` can reach what lies in ``folder``."""
    if sys.platform == "win32":
        return True  # a pipe lies in no folder
    gid, facts = _gid_of(group), folder.stat()
    by_group = gid == facts.st_gid and bool(facts.st_mode & stat.S_IXGRP)
    return by_group or bool(facts.st_mode & stat.S_IXOTH)


def connect(path: Path, timeout_s: float) -> Line:
    """Call the agent at ``path``. ControlError: control.no_agent when nobody is there,
    control.denied, control.impostor when another account answers."""
    if sys.platform == "win32":
        from agent.control.pipe import connect_pipe

        return connect_pipe(path, timeout_s)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout_s)
        with _reachable(path) as name:
            sock.connect(name)
        line = SocketLine(sock)
    except PermissionError:
        sock.close()
        raise ControlError("control.denied") from None
    except OSError:
        sock.close()
        raise ControlError("control.no_agent") from None
    if not _is_ours(line.peer, path):
        line.close()
        raise ControlError("control.impostor")
    return line


def _is_ours(peer: Peer, path: Path) -> bool:
    """Only the folder's owner, root or we ourselves may play the agent to us."""
    if peer.uid < 0:
        return True  # the system does not say; the folder's mode is the guard
    with contextlib.suppress(OSError):
        if peer.uid == path.parent.stat().st_uid:
            return True
    return peer.uid in {0, os.getuid()}


def _answers(path: Path) -> bool:
    try:
        connect(path, 1.0).close()
    except ControlError as error:
        return error.code not in {"control.no_agent", "control.denied"}
    return True


@contextmanager
def _reachable(path: Path) -> Iterator[str]:
    """A name short enough for a socket address; a long one goes by its folder's handle."""
    if len(os.fsencode(path)) < _SUN_PATH_BYTES or not Path("/proc/self/fd").exists():
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _peer_of(sock: socket.socket) -> Peer:
    """By SO_PEERCRED (Linux: struct ucred, three 32-bit numbers)."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return Peer()  # other systems are not run here: everybody may only look
    pid, uid, gid = struct.unpack("iII", sock.getsockopt(socket.SOL_SOCKET, option, 12))
    return Peer(pid, uid, gid)


def _gid_of(group: str) -> int | None:
    if not group:
        return None
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return None


def _is_member(peer: Peer, group: str) -> bool:
    gid = _gid_of(group)
    if gid is None:
        return False
    try:
        account = pwd.getpwuid(peer.uid).pw_name
        return gid in os.getgrouplist(account, peer.gid)
    except (KeyError, OSError):
        return gid == peer.gid
