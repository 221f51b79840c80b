"""
A worker with the smallest app: answers every connection with its node, process id and dead holder.

Everything around it (settings, pipes, signals, restarts) is the server's own. A file named
`silent` in the data directory stops its beats; `stuck` makes whoever answers fail and leave a
thread behind.
"""

import asyncio
import contextlib
import os
import socket
import sys
import threading
from collections.abc import Callable

from liveserver.worker import main
from liveserver.worker_settings import WorkerSettings


async def tiny(
    settings: WorkerSettings, ready: Callable[[], None], beat: Callable[[], None]
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        words = [settings.node, os.getpid(), settings.dead_holder, ",".join(settings.roles)]
        writer.write((" ".join(map(str, words)) + "\n").encode())
        with contextlib.suppress(OSError):
            await writer.drain()
        writer.close()

    if settings.listen_fd is not None:
        listener = socket.socket(fileno=settings.listen_fd)
        await asyncio.start_server(answer, sock=listener)
    ready()
    silent = settings.config.data_dir / "silent"
    while True:
        if "orders" in settings.roles and not silent.exists():
            beat()
        stuck = settings.config.data_dir / "stuck"
        if settings.listen_fd is not None and stuck.exists():  # not the media process: it is silent
            stuck.unlink()
            threading.Thread(target=threading.Event().wait).start()
            raise RuntimeError("it failed, with a thread that waits for ever")
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main(tiny))
