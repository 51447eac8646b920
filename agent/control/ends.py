"""What a listening place and a line are to the rest of the channel, whatever carries them. No I/O.

Unix sockets (``line``) and Windows' named pipes (``pipe``) are the two there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from agent.model.asking import Role


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end, by the kernel's word; ``uid`` -1 where the system has none.

    Windows has no numbers but tokens: there ``account`` is the name and ``granted`` the role, both
    found while the caller was impersonated.
    """

    pid: int = -1
    uid: int = -1
    gid: int = -1
    account: str = ""
    granted: Role | None = None

    @property
    def name(self) -> str:
        """The account's name, for the audit."""
        if self.account or self.uid < 0:
            return self.account or "unknown"
        return account_of(self.uid)


def account_of(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid-{uid}"


class Line(Protocol):
    """A connected line. One thread may receive while another sends; ``hang_up`` wakes both."""

    peer: Peer

    def receive(self, timeout_s: float | None) -> bytes:
        """What has come, b"" at the end. TimeoutError, OSError."""

    def send(self, content: bytes, timeout_s: float) -> None:
        """All of it. After a TimeoutError part may have left: only ``close`` makes sense."""

    def hang_up(self) -> None: ...
    def close(self) -> None: ...


class Listener(Protocol):
    """The place clients call. ``accept`` from one thread, ``close`` from any."""

    def accept(self) -> Line | None:
        """The next caller; None once closed. OSError when the system has no handle to spare."""

    def close(self) -> None:
        """Take the place away; who is connected stays. ``accept`` returns None."""

    def release(self) -> None:
        """Free the handles; after ``accept`` has returned None."""
