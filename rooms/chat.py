"""Chat: what a viewer may send, and the line that everybody gets."""

import re

import msgspec

from rooms import text
from rooms.errors import Invalid
from rooms.room import Speaker

_MESSAGE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Line(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a viewer publishes into `chat:<room>`."""

    text: str
    reply_to: str | None = None


class _Event(msgspec.Struct, kw_only=True, omit_defaults=True, tag="chat", tag_field="type"):
    id: str
    user: Speaker
    text: str
    at: int
    reply_to: str | None = None


_read_line = msgspec.json.Decoder(Line).decode
_encode = msgspec.json.Encoder().encode


def read(data: bytes) -> Line:
    """
    What the viewer sent, cleaned.

    Raises:
        Invalid: Not the shape of a chat line, or a text that cannot be shown.
    """
    try:
        line = _read_line(data)
    except (msgspec.DecodeError, UnicodeError) as problem:
        raise Invalid(f"Chat takes {{text, reply_to?}}: {problem}") from None
    if line.reply_to is not None and not _MESSAGE_ID.fullmatch(line.reply_to):
        raise Invalid("reply_to is not the id of a message")
    cleaned = text.clean(line.text)
    return line if cleaned is line.text else Line(text=cleaned, reply_to=line.reply_to)


def event(id: str, speaker: Speaker, line: Line, at: int, shown: str) -> bytes:
    """The line as everybody gets it, with the text that is `shown`; `at` in milliseconds."""
    return _encode(_Event(id=id, user=speaker, text=shown, at=at, reply_to=line.reply_to))
