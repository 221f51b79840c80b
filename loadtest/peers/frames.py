"""What the Python peers share: the frame of `limit.c`, and rounds at a steady rate."""

import asyncio
import json
import sys
import time
from collections.abc import Callable


def payload(size: int, n: int) -> bytes:
    """JSON of exactly `size` bytes with the time, a pad and a number."""
    head = b'{"d":"~%016d~' % (time.time_ns() // 1000)
    tail = b'~","n":"%08d"}' % n
    return head + b"x" * (size - len(head) - len(tail)) + tail


def frame(size: int, n: int) -> bytes:
    """The same as one finished text frame."""
    length = bytes((size,)) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
    return b"\x81" + length + payload(size, n)


async def rounds(write_to_all: Callable[[int, int], None]) -> None:
    """Obey `go ROUNDS PER_SECOND SIZE` until the end of the input; an answer line after each."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print("listening", flush=True)
    n = 0
    while line := await reader.readline():
        _, count, per_second, size = line.split()
        begin = loop.time()
        for number in range(int(count)):
            await asyncio.sleep(max(0.0, begin + number / float(per_second) - loop.time()))
            n += 1
            write_to_all(int(size), n)
        print(json.dumps({"n": n}), flush=True)
