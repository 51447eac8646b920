"""The named pipe: Windows' side of ``agent.control.line``. Run by the Wine lane.

Who may call is the pipe's own security descriptor's matter: the system, administrators and the
account that made it own it; anybody signed in to this computer may read and write and no more, and
nobody from the network. Who calls is asked of the system while the caller is impersonated, which
Windows allows once something was read: a caller is met on a thread of its own, so that one who
says nothing holds up nobody. Facts of the API: learn.microsoft.com, "Named Pipe Security and Access
Rights", "Impersonating a Named Pipe Client". Imports agent.control.ends, sids and protocol only.
"""

from __future__ import annotations

import contextlib
import hashlib
import queue
import sys
import threading
from pathlib import Path

from agent.control.ends import Peer
from agent.control.protocol import ControlError
from agent.control.sids import SERVICE, service_sid
from agent.model.asking import Role

if sys.platform == "win32":
    import pywintypes
    import win32api
    import win32con
    import win32event
    import win32file
    import win32pipe
    import win32process
    import win32security
    import winerror

    _ENDED = frozenset({winerror.ERROR_BROKEN_PIPE, winerror.ERROR_PIPE_NOT_CONNECTED})

# FILE_GENERIC_READ | FILE_GENERIC_WRITE without FILE_APPEND_DATA, which on a pipe is the right to
# make another instance of it: who had that could play the agent.
CALLER_RIGHTS = (0x00120089 | 0x00120116) & ~0x00000004
_CHUNK_BYTES = 65_536
_MEET_WITHIN_S = 5.0
_WAITING = 32  # callers that were met and are not taken yet


def pipe_name(path: Path) -> str:
    """One pipe for one installation: named after its folder, whatever the case of its letters."""
    digest = hashlib.sha256(str(path).casefold().encode()).hexdigest()[:16]
    return rf"\\.\pipe\bridgework-{digest}"


def descriptor(owner_sid: str) -> str:
    """SDDL of the pipe. NU: from the network; SY: the system; BA: administrators; AU: signed in."""
    return (
        f"O:{owner_sid}D:P(D;;GA;;;NU)(A;;GA;;;SY)(A;;GA;;;BA)(A;;GA;;;{owner_sid})"
        f"(A;;0x{CALLER_RIGHTS:08x};;;AU)"
    )


if sys.platform == "win32":

    class PipeLine:
        """A connected end. Overlapped, so that every wait has an end and ``hang_up`` wakes it."""

        def __init__(self, handle: int, peer: Peer, *, is_server: bool, held: bytes = b"") -> None:
            self.peer = peer
            self._handle = handle
            self._is_server = is_server
            self._held = held
            self._over = win32event.CreateEvent(None, True, False, None)
            self._reading = win32event.CreateEvent(None, True, False, None)
            self._writing = win32event.CreateEvent(None, True, False, None)
            self._buffer = win32file.AllocateReadBuffer(_CHUNK_BYTES)
            self._closing = threading.Lock()
            self._is_closed = False

        def receive(self, timeout_s: float | None) -> bytes:
            if self._held:
                held, self._held = self._held, b""
                return held
            work = pywintypes.OVERLAPPED()
            work.hEvent = self._reading
            try:
                win32file.ReadFile(self._handle, self._buffer, work)
                count = self._finish(work, timeout_s)
            except pywintypes.error as error:
                if error.winerror in {
                    winerror.ERROR_BROKEN_PIPE,
                    winerror.ERROR_PIPE_NOT_CONNECTED,
                }:
                    return b""
                raise OSError(error.winerror, error.strerror) from None
            return bytes(self._buffer[:count])

        def send(self, content: bytes, timeout_s: float) -> None:
            work = pywintypes.OVERLAPPED()
            work.hEvent = self._writing
            try:
                win32file.WriteFile(self._handle, content, work)
                self._finish(work, timeout_s)  # a byte pipe takes all of it or fails
            except pywintypes.error as error:
                raise OSError(error.winerror, error.strerror) from None

        def hang_up(self) -> None:
            win32event.SetEvent(self._over)
            with contextlib.suppress(pywintypes.error):
                if self._is_server:
                    win32pipe.DisconnectNamedPipe(self._handle)

        def close(self) -> None:
            self.hang_up()
            with self._closing:
                if not self._is_closed:
                    self._is_closed = True
                    win32file.CloseHandle(self._handle)

        def _finish(self, work: object, timeout_s: float | None) -> int:
            """Bytes carried. TimeoutError; ConnectionResetError after ``hang_up``."""
            wait_ms = win32event.INFINITE if timeout_s is None else max(int(timeout_s * 1000), 1)
            events = (work.hEvent, self._over)  # type: ignore[attr-defined]
            came = win32event.WaitForMultipleObjects(events, False, wait_ms)
            if came == win32event.WAIT_OBJECT_0:
                return int(win32file.GetOverlappedResult(self._handle, work, False))
            win32file.CancelIo(self._handle)
            with contextlib.suppress(pywintypes.error):  # the buffer is ours again only after this
                win32file.GetOverlappedResult(self._handle, work, True)
            if came == win32event.WAIT_TIMEOUT:
                raise TimeoutError
            raise ConnectionResetError

    class PipeListener:
        """One instance waits for a caller at any time; who was met waits in a queue."""

        def __init__(self, name: str, group: str) -> None:
            self._name = name
            self._group = _sid_of(group)
            self._owner = _own_sid()
            self._over = win32event.CreateEvent(None, True, False, None)
            self._met: queue.Queue[PipeLine | None] = queue.Queue(_WAITING)
            self._first = self._instance(is_first=True)
            self._thread = threading.Thread(target=self._wait, name="control-pipe", daemon=True)
            self._thread.start()

        def accept(self) -> PipeLine | None:
            return self._met.get()

        def close(self) -> None:
            win32event.SetEvent(self._over)

        def release(self) -> None:
            self._thread.join(1.0)

        def _instance(self, *, is_first: bool) -> int:
            attributes = win32security.SECURITY_ATTRIBUTES()
            attributes.SECURITY_DESCRIPTOR = (
                win32security.ConvertStringSecurityDescriptorToSecurityDescriptor(
                    descriptor(win32security.ConvertSidToStringSid(self._owner)),
                    win32security.SDDL_REVISION_1,
                )
            )
            mode = win32pipe.PIPE_ACCESS_DUPLEX | win32file.FILE_FLAG_OVERLAPPED
            if is_first:  # somebody who made the name before us would be found out here
                mode |= win32pipe.FILE_FLAG_FIRST_PIPE_INSTANCE
            kind = win32pipe.PIPE_TYPE_BYTE | win32pipe.PIPE_REJECT_REMOTE_CLIENTS
            return int(
                win32pipe.CreateNamedPipe(
                    self._name, mode, kind, win32pipe.PIPE_UNLIMITED_INSTANCES,
                    _CHUNK_BYTES, _CHUNK_BYTES, 0, attributes,
                ).Detach()
            )  # fmt: skip

        def _wait(self) -> None:
            handle = self._first
            while True:
                if not self._connected(handle):
                    win32file.CloseHandle(handle)
                    self._met.put(None)
                    return
                threading.Thread(target=self._meet, args=(handle,), daemon=True).start()
                handle = self._instance(is_first=False)

        def _connected(self, handle: int) -> bool:
            """Waits for a caller; False once closed."""
            work = pywintypes.OVERLAPPED()
            work.hEvent = win32event.CreateEvent(None, True, False, None)
            came = win32pipe.ConnectNamedPipe(handle, work)
            if came == winerror.ERROR_PIPE_CONNECTED:
                win32event.SetEvent(work.hEvent)
            events = (work.hEvent, self._over)
            waited = win32event.WaitForMultipleObjects(events, False, win32event.INFINITE)
            return bool(waited == win32event.WAIT_OBJECT_0)

        def _meet(self, handle: int) -> None:
            """The first words, then who says them."""
            line = PipeLine(handle, Peer(), is_server=True)
            try:
                first = line.receive(_MEET_WITHIN_S)
                line.peer = self._peer(handle)
            except (OSError, pywintypes.error):
                line.close()
                return
            met = PipeLine(handle, line.peer, is_server=True, held=first)
            try:
                self._met.put(met, timeout=_MEET_WITHIN_S)
            except queue.Full:
                met.close()

        def _peer(self, handle: int) -> Peer:
            pid = int(win32pipe.GetNamedPipeClientProcessId(handle))
            win32security.ImpersonateNamedPipeClient(handle)
            try:
                token = win32security.OpenThreadToken(
                    win32api.GetCurrentThread(), win32con.TOKEN_QUERY, True
                )
                sid = win32security.GetTokenInformation(token, win32security.TokenUser)[0]
                role = self._role(sid)
            finally:
                win32security.RevertToSelf()
            name, domain, _ = win32security.LookupAccountSid(None, sid)
            return Peer(pid=pid, account=f"{domain}\\{name}", granted=role)

        def _role(self, sid: object) -> Role:
            """While impersonating: CheckTokenMembership(None, …) is about the caller then. An
            administrator counts as one only with the rights in hand (after the UAC question)."""
            if sid == self._owner or _is_in(win32security.WinBuiltinAdministratorsSid):
                return Role.ADMIN
            if _is_in(win32security.WinLocalSystemSid):
                return Role.ADMIN
            is_member = self._group is not None and win32security.CheckTokenMembership(
                None, self._group
            )
            return Role.MANAGER if is_member else Role.VIEWER

    def listen_pipe(path: Path, group: str) -> PipeListener:
        """ControlError: control.in_use, control.cannot_listen."""
        try:
            return PipeListener(pipe_name(path), group)
        except pywintypes.error as error:
            taken = {winerror.ERROR_ACCESS_DENIED, winerror.ERROR_PIPE_BUSY}
            code = "control.in_use" if error.winerror in taken else "control.cannot_listen"
            raise ControlError(code, errno=error.winerror) from None

    def connect_pipe(path: Path, timeout_s: float) -> PipeLine:
        """ControlError: control.no_agent, control.denied, control.impostor."""
        name = pipe_name(path)
        try:
            win32pipe.WaitNamedPipe(name, max(int(timeout_s * 1000), 1))
            handle = win32file.CreateFile(
                name, win32con.GENERIC_READ | (CALLER_RIGHTS & 0xFFFF), 0, None,
                win32con.OPEN_EXISTING,
                # The agent may find out who we are and may not act as us.
                win32file.FILE_FLAG_OVERLAPPED | win32con.SECURITY_SQOS_PRESENT
                | win32file.SECURITY_IDENTIFICATION, None,
            ).Detach()  # fmt: skip
        except pywintypes.error as error:
            denied = error.winerror == winerror.ERROR_ACCESS_DENIED
            raise ControlError("control.denied" if denied else "control.no_agent") from None
        if not _is_ours(handle):
            win32file.CloseHandle(handle)
            raise ControlError("control.impostor")
        pid = int(win32pipe.GetNamedPipeServerProcessId(handle))
        return PipeLine(int(handle), Peer(pid=pid), is_server=False)

    def _is_ours(handle: int) -> bool:
        """Only the service, the system, an administrator or we ourselves may play the agent to us:
        the pipe's owner tells, which nobody can set to an account that is not their own."""
        owner = win32security.GetSecurityInfo(
            handle, win32security.SE_KERNEL_OBJECT, win32security.OWNER_SECURITY_INFORMATION
        ).GetSecurityDescriptorOwner()
        kinds = (win32security.WinLocalSystemSid, win32security.WinBuiltinAdministratorsSid)
        known = [win32security.CreateWellKnownSid(kind, None) for kind in kinds]
        known.append(win32security.ConvertStringSidToSid(service_sid(SERVICE)))
        return owner == _own_sid() or owner in known

    def _own_sid() -> object:
        token = win32security.OpenProcessToken(
            win32process.GetCurrentProcess(), win32con.TOKEN_QUERY
        )
        return win32security.GetTokenInformation(token, win32security.TokenUser)[0]

    def _sid_of(group: str) -> object | None:
        if not group:
            return None
        try:
            sid: object = win32security.LookupAccountName(None, group)[0]
        except pywintypes.error:
            return None
        return sid

    def _is_in(kind: int) -> bool:
        sid = win32security.CreateWellKnownSid(kind, None)
        return bool(win32security.CheckTokenMembership(None, sid))
