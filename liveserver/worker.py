"""
The entry of a child process: `python -m liveserver.worker`, settings as JSON on standard input.

It ends within two seconds of its supervisor's death, even with a blocked event loop: a thread waits
for the end of file of a pipe that only the supervisor holds open.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable

import uvloop

from liveserver import embedded, logs, worker_settings
from liveserver.worker_settings import WorkerSettings

logger = logging.getLogger(__name__)

#: seconds between the supervisor's death and the hard end of this process (architecture: 2 s)
ORPHAN_GRACE = 1.5
LINGER_SECONDS = 1.0  # for the interpreter's own end; it takes milliseconds
DEMO_ROOM = "demo"
#: allocations between two looks for cycles, and how many looks go before one at what is older: a
#: server makes few cycles and thousands of short-lived messages a second (by default 700, 10, 10)
GC_THRESHOLDS = (20_000, 20, 10)
READY = b"R"
BEAT = b"B"

App = Callable[[WorkerSettings, Callable[[], None], Callable[[], None]], Awaitable[None]]


def main(app: App | None = None) -> int:
    """Run `app` (the server's own by default) with the settings from standard input."""
    settings = worker_settings.decode(sys.stdin.buffer.read())
    logs.configure(settings.config.log_format, settings.config.log_level, settings.node)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor hears Ctrl-C and tells us
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(_serve(settings, app))
        _end_for_certain(code)
    return code


def _end_for_certain(code: int) -> None:
    """
    Everything is closed or has failed to close. A thread that still waits for something, as that of
    a database connection that was given up, must not keep a dead worker from being replaced.
    """

    def end() -> None:
        time.sleep(LINGER_SECONDS)
        logger.error("a thread did not end; the process does")
        logging.shutdown()
        os._exit(code)

    threading.Thread(target=end, name="end", daemon=True).start()


async def _serve(settings: WorkerSettings, app: App | None) -> int:
    loop = asyncio.get_running_loop()
    serving = asyncio.current_task()
    assert serving is not None
    ended_by: list[str] = []

    def end(reason: str) -> None:
        if not ended_by:
            ended_by.append(reason)
            serving.cancel()

    loop.add_signal_handler(signal.SIGTERM, end, "SIGTERM")
    if settings.death_fd is not None:
        _watch_supervisor(settings, loop, end)
    try:
        await (app or _app_of(settings))(settings, _ready_signal(settings), _beat_signal(settings))
    except asyncio.CancelledError:
        if not ended_by:
            raise
        logger.info("stopped (%s)", ended_by[0])
        return 0
    except Exception:
        logger.exception("ended by an error")
        return 1
    logger.error("ended without being asked to")
    return 1


def _app_of(settings: WorkerSettings) -> App:
    """Imported here, so that a process loads only what it runs."""
    if "crowd" in settings.roles:
        return _crowd
    gc.disable()  # what is imported stays: looking it over again and again takes a tenth of a start
    from liveserver.app import run_worker

    gc.enable()
    return run_worker


async def _crowd(
    settings: WorkerSettings, ready: Callable[[], None], beat: Callable[[], None]
) -> None:
    """Synthetic viewers: strangers at the door, with the server's parts out of reach."""
    from liveserver import crowd

    ready()
    await crowd.gather(settings.public_url, DEMO_ROOM, settings.crowd, settings.crowd_buys)


def calm_collector() -> None:
    """To be called once everything is there that lives as long as the process."""
    gc.collect()
    gc.freeze()  # what lives now lives long; the collector need not walk it again
    gc.set_threshold(*GC_THRESHOLDS)


def _ready_signal(settings: WorkerSettings) -> Callable[[], None]:
    def ready() -> None:
        calm_collector()
        _tell(settings.status_fd, READY)

    return ready


def _beat_signal(settings: WorkerSettings) -> Callable[[], None]:
    if settings.status_fd is not None:
        os.set_blocking(settings.status_fd, False)
    return lambda: _tell(settings.status_fd, BEAT)


def _tell(fd: int | None, word: bytes) -> None:
    """One byte to the supervisor; a full pipe holds older beats, which say the same."""
    if fd is not None:
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(fd, word)


def _watch_supervisor(
    settings: WorkerSettings, loop: asyncio.AbstractEventLoop, end: Callable[[str], None]
) -> None:
    fd = settings.death_fd
    assert fd is not None

    def watch() -> None:
        os.read(fd, 1)  # nobody writes: it returns when the last writer is gone
        with contextlib.suppress(RuntimeError):  # the loop may be closed already
            loop.call_soon_threadsafe(end, "the supervisor is gone")
        if settings.bus_pid is not None:
            embedded.signal_server(settings.bus_pid, signal.SIGTERM)
        time.sleep(ORPHAN_GRACE)
        if os.getpgrp() == os.getpid():  # with whatever we started ourselves
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=watch, name="supervisor-watch", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
