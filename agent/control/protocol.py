"""The words of the control channel: JSON-RPC 2.0, one message a line. Pure; no sockets here.

A client says ``hello`` first (which versions it speaks); the server answers with the version, the
caller's role and what that role may ask. Requests are the classes of ``agent.model.desk``: their
``method`` is the method, their fields are the params (by name). Events are notifications:

    {"method": "event",       "params": {"seq": 7, "kind": "activity", "at": "...", "body": {...}}}
    {"method": "events.lost", "params": {"first": 8, "last": 31}}

Refusals of the agent itself carry the message code and its facts, so a client shows the text of
the catalogue. Imports agent.model and agent.errors only.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Literal

import msgspec

from agent.errors import AgentError, ExitCode
from agent.model.asking import Role

VERSIONS = (1,)
MAX_LINE = 1_048_576  # bytes of one message with its end of line, in both directions
HELLO = "hello"
PING = "ping"
SUBSCRIBE = "events.subscribe"
UNSUBSCRIBE = "events.unsubscribe"
EVENT = "event"
LOST = "events.lost"

CallId = int | str | None


class ControlError(AgentError):
    """The channel could not carry what was asked; the agent itself is not in doubt."""

    code = "control.failed"


class Code(IntEnum):
    """JSON-RPC's own codes and ours."""

    PARSE = -32700
    INVALID = -32600
    NO_METHOD = -32601
    BAD_PARAMS = -32602
    INTERNAL = -32603
    REFUSED = -32000  # the agent says no; ``data`` carries its message code and facts
    FORBIDDEN = -32001
    HELLO_FIRST = -32002
    BUSY = -32003


class FaultDetail(msgspec.Struct, frozen=True, omit_defaults=True):
    """``code``: in the message catalogue; ``facts``: PHI-free; ``exit_code``: of a command."""

    code: str
    facts: dict[str, str | int | float | None] = {}
    exit_code: int = int(ExitCode.FAILED)


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    code: int
    message: str
    data: FaultDetail | None = None


class Call(msgspec.Struct, frozen=True):
    """A request as it arrives; without an id it is a notification and is not answered."""

    jsonrpc: Literal["2.0"]
    method: str
    params: msgspec.Raw = msgspec.Raw(b"{}")
    id: CallId | msgspec.UnsetType = msgspec.UNSET


class Answer(msgspec.Struct, frozen=True):
    """What a client reads: an answer (``id``), or a notification (``method``)."""

    id: CallId = None
    result: msgspec.Raw = msgspec.Raw(b"")
    error: Fault | None = None
    method: str = ""
    params: msgspec.Raw = msgspec.Raw(b"")


class Hello(msgspec.Struct, frozen=True):
    versions: tuple[int, ...]
    client: str = ""


class Welcome(msgspec.Struct, frozen=True):
    """``boot`` changes with every start of the agent: event numbers begin anew."""

    version: int
    agent_version: str
    pid: int
    role: Role
    boot: str
    methods: tuple[str, ...]
    max_line: int = MAX_LINE


class Subscribe(msgspec.Struct, frozen=True):
    """``kinds`` None = all. ``after`` (with its ``boot``): go on where a broken line ended."""

    kinds: tuple[str, ...] | None = None
    after: int | None = None
    boot: str = ""


class Subscribed(msgspec.Struct, frozen=True):
    """``seq``: the last event so far; ``missed``: some after ``after`` cannot be given again."""

    seq: int
    missed: bool = False


class Event(msgspec.Struct, frozen=True):
    seq: int
    kind: str
    at: str
    body: Any


class Lost(msgspec.Struct, frozen=True):
    """These events (both ends included) were not sent: the client was too slow. Ask for the state
    anew."""

    first: int
    last: int


_calls = msgspec.json.Decoder(Call)
_answers = msgspec.json.Decoder(Answer)
_encoder = msgspec.json.Encoder()


def parse_call(line: bytes) -> Call | Fault:
    """A request, or why it is none. Never raises, whatever the bytes."""
    try:
        return _calls.decode(line)
    except msgspec.ValidationError:
        return Fault(Code.INVALID, "not a request", FaultDetail("control.garbage"))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return Fault(Code.PARSE, "not JSON", FaultDetail("control.garbage"))


def parse_params(params: msgspec.Raw, kind: Any) -> Any:
    """``params`` as ``kind``. ControlError("control.bad_params") names what is wrong."""
    try:
        return msgspec.json.decode(params, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
        # The text goes back to who sent it and into no log.
        raise ControlError("control.bad_params", why=str(error)[:200]) from None


def call_line(ident: int, method: str, params: object) -> bytes:
    """ControlError("control.too_large") when the agent would not take it."""
    message = {"jsonrpc": "2.0", "id": ident, "method": method, "params": params}
    return _line(message)


def answer_line(ident: CallId, result: object) -> bytes:
    """ControlError("control.too_large") when the client would not take it."""
    return _line({"jsonrpc": "2.0", "id": ident, "result": result})


def fault_line(ident: CallId, fault: Fault) -> bytes:
    return _line({"jsonrpc": "2.0", "id": ident, "error": fault})


def note_line(method: str, params: object) -> bytes:
    return _line({"jsonrpc": "2.0", "method": method, "params": params})


def fault_of(error: AgentError) -> Fault:
    """A refusal of the agent, as it travels."""
    detail = FaultDetail(error.code, dict(error.facts), int(error.exit_code))
    return Fault(Code.REFUSED, error.code, detail)


def error_of(fault: Fault) -> AgentError:
    """And as it arrives: an error of the same code, facts and exit code."""
    if fault.data is None:
        return ControlError("control.failed", number=fault.code)
    error = ControlError(fault.data.code, **fault.data.facts)
    try:
        error.exit_code = ExitCode(fault.data.exit_code)
    except ValueError:
        error.exit_code = ExitCode.FAILED
    return error


def parse_answer(line: bytes) -> Answer:
    """ControlError("control.garbage"): whoever listens there is no agent."""
    try:
        return _answers.decode(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise ControlError("control.garbage") from None


def _line(message: object) -> bytes:
    line = _encoder.encode(message) + b"\n"
    if len(line) > MAX_LINE:
        raise ControlError("control.too_large", bytes=len(line), most=MAX_LINE)
    return line
