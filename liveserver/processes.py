"""Looking at other processes by id: are they alive, what do they run, make them end."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

Check = Callable[[int], bool]

POLL_SECONDS = 0.02


def command_line(pid: int) -> str:
    """The arguments of a process with spaces between; empty when it is gone or a zombie."""
    proc = Path("/proc")
    if (proc / "self").exists():
        try:
            return (
                (proc / str(pid) / "cmdline")
                .read_bytes()
                .replace(b"\0", b" ")
                .decode(errors="replace")
            )
        except OSError:
            return ""
    answer = subprocess.run(
        ["ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, timeout=5
    )
    return answer.stdout.strip()


def executable(pid: int) -> str:
    """The file name of the program a process runs; empty when it is gone or not ours to see."""
    try:
        target = os.readlink(f"/proc/{pid}/exe")
    except OSError:
        first = command_line(pid).split(" ")[0]
        return Path(first).name
    return Path(target.removesuffix(" (deleted)")).name


def end_process(pid: int, is_it: Check, patience: float, kill_after: float) -> bool:
    """
    Wait `patience` seconds for a process to end by itself, then SIGTERM, then after `kill_after`
    seconds SIGKILL. `is_it` guards against another process that got the same id.

    Returns whether it is gone. Blocks; not for an event loop.
    """
    for word, seconds in ((None, patience), (signal.SIGTERM, kill_after), (signal.SIGKILL, 2.0)):
        if not is_it(pid):
            return True
        if word is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, word)
        if _gone_within(pid, is_it, seconds):
            return True
    return not is_it(pid)


def _gone_within(pid: int, is_it: Check, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not is_it(pid):
            return True
        time.sleep(POLL_SECONDS)
    return False
