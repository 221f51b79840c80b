"""A reader of `text/event-stream` as WHATWG specifies it (HTML, 9.2.6: interpreting a stream)."""

import re

_LINE_END = re.compile("\r\n|\r|\n")


def read_events(stream: bytes) -> list[str]:
    """The data of every event; a line ends with CRLF, CR or LF."""
    text = stream.decode().removeprefix("\ufeff")
    *lines, _ = _LINE_END.split(text)  # what no line end follows is not read
    events: list[str] = []
    data: list[str] = []
    for line in lines:
        if not line:
            if data:
                events.append("\n".join(data))
            data = []
            continue
        field, _, value = line.partition(":")
        if field == "data":
            data.append(value.removeprefix(" "))
    return events
