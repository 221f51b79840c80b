"""
A network that fails on command: a proxy between two parties, on TCP or unix sockets.

`swallow` loses the answers of open connections, as a cut line does that nobody notices, and
`silent` what goes either way; `cut_all` resets them; `refuse` lets nobody in. Questions with
`slow_words` in them wait `slow_seconds` on their way.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable

CHUNK = 65_536
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Proxy:
    """Passes bytes on to `target`: a unix path, or a TCP port of this machine."""

    def __init__(self, target: str | int) -> None:
        self._target = target
        self._server: asyncio.AbstractServer | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.swallow = False
        self.silent = False
        self.refuse = False
        self.slow_words = b""
        self.slow_seconds = 0.0
        self.carried = 0  # bytes that arrived, both ways
        self.swallowed = 0
        self.refused = 0
        self.slowed = 0

    async def listen(self, path: str | None = None) -> int:
        """On a unix path, or on a free TCP port, which is returned."""
        if path is not None:
            self._server = await asyncio.start_unix_server(self._serve, path)
            return 0
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut_all(self) -> int:
        """Reset every open connection; how many."""
        cut = len(self._open) // 2
        for writer in list(self._open):
            with contextlib.suppress(OSError):  # unix sockets know no reset; they just end
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
            writer.transport.abort()
        return cut

    async def _connect(self) -> Streams:
        if isinstance(self._target, int):
            return await asyncio.open_connection("127.0.0.1", self._target)
        return await asyncio.open_unix_connection(self._target)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self.refuse:
                self.refused += 1
                return
            far_reader, far_writer = await self._connect()
            self._open |= {writer, far_writer}
            try:
                await asyncio.gather(
                    self._pass_on(reader, far_writer, lambda: self.silent, slow=True),
                    self._pass_on(far_reader, writer, lambda: self.swallow or self.silent),
                )
            finally:
                self._open -= {writer, far_writer}
                far_writer.transport.abort()
        except OSError:
            pass  # one side is gone: so is the other, below
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _pass_on(
        self,
        source: asyncio.StreamReader,
        to: asyncio.StreamWriter,
        lost: Callable[[], bool],
        *,
        slow: bool = False,
    ) -> None:
        while data := await source.read(CHUNK):
            if lost():
                self.swallowed += len(data)
                continue
            if slow and self.slow_words and self.slow_words in data:
                self.slowed += 1
                await asyncio.sleep(self.slow_seconds)
            to.write(data)
            self.carried += len(data)
            await to.drain()
        raise ConnectionResetError("one side has closed")
