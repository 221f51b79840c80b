"""
The wire format of Protobuf: numbers of seven bits a byte, and fields with a number and a type.

Four of its types are read and two are written, which is all that the protocol needs
(docs/decisions/0007). What the fields mean is in `protobuf_fields.py`.
"""

from collections.abc import Iterator

from rooms.commands import BadCommand

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types
_FIXED = {FIXED64: 8, FIXED32: 4}
VARINT_BYTES = 10
SIGN, RANGE = 1 << 63, 1 << 64


def varints(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, and where it ends. Raises BadCommand."""
    number = shift = 0
    for end in range(at, min(at + VARINT_BYTES, len(data))):
        byte = data[end]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            if number >= RANGE:
                break
            return number, end + 1
        shift += 7
    raise BadCommand("bad request")


def delimited(data: bytes) -> Iterator[bytes]:
    """The messages of one frame, each without its length. Raises BadCommand."""
    at = 0
    while at < len(data):
        size, at = varints(data, at)
        if size > len(data) - at:
            raise BadCommand("bad request")
        yield data[at : at + size]
        at += size


def fields_of(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Number, wire type, value and bytes of each field. Raises BadCommand."""
    at = 0
    while at < len(data):
        tag, at = varints(data, at)
        number, wire = tag >> 3, tag & 7
        value, content = 0, b""
        if wire == VARINT:
            value, at = varints(data, at)
        else:
            if wire == BYTES:
                size, at = varints(data, at)
            elif wire in _FIXED:
                size = _FIXED[wire]
            else:
                raise BadCommand("bad request")
            if size > len(data) - at:
                raise BadCommand("bad request")
            content = data[at : at + size]
            at += size
        if number == 0:
            raise BadCommand("bad request")
        yield number, wire, value, content


def varint(number: int) -> bytes:
    """A number; a negative one as its two's complement."""
    if 0 <= number < 0x80:
        return bytes((number,))
    number %= RANGE
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def block(number: int, content: bytes) -> bytes:
    """A field of bytes, text or a message."""
    size = len(content)
    if size < 0x80 and number < 16:
        return bytes((number << 3 | BYTES, size)) + content
    return varint(number << 3 | BYTES) + varint(size) + content


def with_length(message: bytes) -> bytes:
    """A message as it stands in a frame."""
    return varint(len(message)) + message
