"""What a request to the agent is: who may make it, what answers it. A leaf.

One request class an operation. The command line and the window make requests; the desk
(``agent.runtime.desk``) answers them, in the same process or through the control channel
(``agent.control``), so both ways speak the same words and obey the same roles.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar, Generic, TypeVar, get_args

import msgspec

T = TypeVar("T")

MOST = 500  # rows an answer may carry; more come by paging


class Role(StrEnum):
    """Viewer: any signed-in person; manager: decides and switches; admin: owns the computer."""

    VIEWER = "viewer"
    MANAGER = "manager"
    ADMIN = "admin"

    def covers(self, wanted: Role) -> bool:
        order = list(Role)
        return order.index(self) >= order.index(wanted)


class Request(msgspec.Struct, Generic[T], frozen=True, forbid_unknown_fields=True):
    """Base of all requests; ``T`` is what answers it. ``method`` names it on the channel."""

    method: ClassVar[str] = ""
    role: ClassVar[Role] = Role.VIEWER


def answer_type(request: type[Request[Any]]) -> Any:
    """The ``T`` of a request class."""
    return get_args(request.__orig_bases__[0])[0]  # type: ignore[attr-defined]


class Done(msgspec.Struct, frozen=True):
    """It was done. ``code``: a message code when there is something to tell about it."""

    code: str = ""


class Settled(msgspec.Struct, frozen=True):
    """What became of one of several things asked at once. ``code`` "" = done, else why not;
    ``facts``: of that message, PHI-free."""

    id: str
    code: str = ""
    facts: dict[str, str | int | float | None] = {}


class Settlement(msgspec.Struct, frozen=True):
    """One line for each thing asked, in the order asked."""

    lines: tuple[Settled, ...]

    @property
    def refused(self) -> int:
        return sum(1 for line in self.lines if line.code)
