"""
The usual frame of a client, read without a parser (RFC 6455, section 5.2).

Usual is a whole message: final, without extension bits, masked, up to 65,535 bytes, nearly always
alone in one read. The library's parser is a generator with several steps a frame
(docs/decisions/0012).
"""

LENGTH_FOLLOWS = 126  # in two bytes; 127: in eight, which no usual frame has
MASK_BYTES = 4


def usual_frame(data: bytes, at: int, first: int) -> tuple[int, int] | None:
    """
    Where the payload of the frame at `at` begins and ends; its mask stands before it.

    `first` is the first byte of a usual frame: FIN and an opcode. While the head is cut off, the
    end is where the head ends at least, which is behind `data`. None: it is no usual frame.
    """
    known = len(data) - at
    if data[at] != first:
        return None
    if known < 2:
        return at, at + 2
    length = data[at + 1] ^ 0x80
    if length < LENGTH_FOLLOWS:
        start = at + 2 + MASK_BYTES
    elif length > LENGTH_FOLLOWS:  # too long, or not masked
        return None
    elif known < 4:
        return at, at + 4
    else:
        length = data[at + 2] << 8 | data[at + 3]
        start = at + 4 + MASK_BYTES
    return start, start + length
