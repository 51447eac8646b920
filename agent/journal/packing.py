"""What a sealed column of the pull direction holds, and how it is packed. No SQL, no keys.

JSON, because the values are canonical JSON values: what went in comes out equal.
"""

from __future__ import annotations

from typing import Any

import msgspec

from agent.model.commands import Command, CommandOutcome, CommandType, Contact
from agent.model.effects import Effect, EffectKind
from agent.model.reading import Key
from agent.model.streams import Stream


class Image(msgspec.Struct, frozen=True):
    """The payload of an effect row: what is written, what was there, and the way back."""

    effect: Effect
    before: dict[str, Any]
    after: dict[str, Any]
    inverse: Effect | None


class Evidence(msgspec.Struct, frozen=True):
    """The values of a conflict row."""

    base: Any
    pms: Any
    crm: Any
    result: Any


_encoder = msgspec.json.Encoder()
_commands = msgspec.json.Decoder(Command)
_outcomes = msgspec.json.Decoder(CommandOutcome)
_contacts = msgspec.json.Decoder(Contact)
_effects = msgspec.json.Decoder(Effect)
_images = msgspec.json.Decoder(Image)
_evidence = msgspec.json.Decoder(Evidence)
_candidates = msgspec.json.Decoder(list[dict[str, Any]])
_keys = msgspec.json.Decoder(list[Key])

pack = _encoder.encode
unpack_command = _commands.decode
unpack_outcome = _outcomes.decode
unpack_contact = _contacts.decode
unpack_effect = _effects.decode
unpack_image = _images.decode
unpack_evidence = _evidence.decode
unpack_candidates = _candidates.decode
unpack_keys = _keys.decode


def erased_command(ident: str, kind: str, priority: int) -> Command:
    """What is left of a command whose person was forgotten."""
    return Command(command_id=ident, type=CommandType(kind), created_at="", priority=priority)


def erased_image(kind: str, stream: Stream, key: Key | None) -> Image:
    """What is left of an effect whose person was forgotten."""
    return Image(Effect(EffectKind(kind), stream, key, {}), {}, {}, None)
