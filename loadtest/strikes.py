"""
The faults: what is done to a server under load, and how it shows that it struck.

A strike begins with requests in flight and returns when the fault is over. It uses what an operator
of the machine could use: signals, files, locks, the bus's own socket. Those of the writer and its
database are in `loadtest.strikes_sql`.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil

from loadtest.journal import now
from loadtest.postgres import Postgres
from loadtest.scene import Hit, Missed, Scene, is_gone, is_stopped, logged, until
from loadtest.server import BIN

# ── F1, F3: kill -9 ─────────────────────────────────────────────────────────────────────────


async def kill(scene: Scene, kind: str, words: str) -> Hit:
    """kill -9 with requests in flight; over when the successor is there."""
    victim = scene.process(kind)
    since = len(scene.server.logged())
    await scene.waves.middle_of_a_wave()
    at = now()
    victim.send_signal(signal.SIGKILL)
    await until(lambda: is_gone(victim), f"the end of process {victim.pid}")
    line = await logged(scene.server, words, since)
    return Hit(at, now(), f"process {victim.pid} ({kind}) is gone; log: {line[-90:]}")


async def kill_gateway(scene: Scene) -> Hit:
    return await kill(scene, "gateway", "gateway-1")


async def kill_bus(scene: Scene) -> Hit:
    return await kill(scene, "bus", "embedded Valkey ended")


# ── F4: the bus comes back with other files ─────────────────────────────────────────────────────


async def change_bus_files(scene: Scene, how: str) -> Hit:
    """`empty`, `older` or `truncated`: with the supervisor stopped, so that nobody is faster."""
    folder = scene.server.data / "bus" / "appendonlydir"
    older = scene.server.data / "bus" / "copy"
    shutil.copytree(folder, older)
    await asyncio.sleep(1.5)  # the load goes on: what comes now is missing in the copy
    bus, supervisor = scene.process("bus"), scene.process("supervisor")
    since = len(scene.server.logged())
    await scene.waves.middle_of_a_wave()
    at = now()
    supervisor.send_signal(signal.SIGSTOP)
    bus.send_signal(signal.SIGKILL)
    await until(lambda: is_gone(bus), f"the end of process {bus.pid}")
    if how == "truncated":
        log = max(folder.glob("*.aof"), key=lambda path: path.stat().st_size)
        size = log.stat().st_size
        os.truncate(log, size * 2 // 3)
        words = f"{log.name} cut from {size} to {size * 2 // 3} bytes"
    else:
        shutil.rmtree(folder)
        if how == "older":
            shutil.copytree(older, folder)
        words = f"the files of process {bus.pid} were made {how}"
    supervisor.send_signal(signal.SIGCONT)
    await logged(scene.server, "embedded Valkey ended", since)
    await until(lambda: bus_is_back(scene), "the new Valkey")
    return Hit(at, now(), words)


def bus_is_back(scene: Scene) -> bool:
    try:
        return not is_gone(scene.process("bus"))
    except StopIteration:
        return False


# ── F8: the network ─────────────────────────────────────────────────────────────────────────────


async def cut_network(scene: Scene) -> Hit:
    """Answers stop coming on open connections; then all are cut; then it heals."""
    assert scene.proxy is not None
    await scene.waves.middle_of_a_wave(least=5)
    at = now()
    scene.proxy.swallow = True
    await asyncio.sleep(scene.seconds / 2)
    cut = scene.proxy.cut_all()
    scene.proxy.refuse = True
    await asyncio.sleep(scene.seconds / 2)
    scene.proxy.swallow = scene.proxy.refuse = False
    cut += scene.proxy.cut_all()
    words = f"{scene.proxy.swallowed} bytes of answers lost, {cut} connections cut, "
    return Hit(at, now(), words + f"{scene.proxy.refused} refused")


# ── F9: the clock ───────────────────────────────────────────────────────────────────────────────


async def jump_clock(scene: Scene, hours: int) -> Hit:
    """The wall clock of all processes of the server jumps, and jumps back."""
    assert scene.clock_file is not None
    await scene.waves.middle_of_a_wave()
    at = now()
    scene.clock_file.write_text(str(hours * 3600))
    await asyncio.sleep(scene.seconds)
    jumped = await server_clock_off(scene)
    scene.clock_file.write_text("0")
    if abs(jumped - hours * 3600) > 60:
        raise Missed(f"the server's clock is off by {jumped:.0f} s only")
    return Hit(at, now(), f"the server's own clock showed {jumped:+.0f} s")


async def server_clock_off(scene: Scene) -> float:
    """Seconds by which the server's wall clock differs from ours."""
    room = await scene.waves.shop.call("GET", "/v1/rooms/demo")
    shown = room["server_time"]
    return float(shown) / 1000 - time.time()


# ── F10, F16, F17: what clients and merchants do ────────────────────────────────────────────────


async def habits_alone(scene: Scene) -> Hit:
    """The fault is the load itself: duplicates that overtake one another."""
    await scene.waves.middle_of_a_wave()
    at, attempts = now(), scene.waves.attempts
    await asyncio.sleep(scene.seconds)
    made = scene.waves.attempts - attempts
    words = f"each request sent {scene.waves.habits.copies} times"
    return Hit(at, now(), f"{words}; {made} attempts meanwhile")


async def late_payments(scene: Scene) -> Hit:
    """Payments at the wrong time, and a sale that is voided while buyers are paying."""
    late = scene.waves.late
    await scene.waves.middle_of_a_wave()
    at = now()
    await asyncio.gather(late.void_a_sale(), asyncio.sleep(scene.seconds))
    return Hit(at, now(), ", ".join(f"{n} {words}" for words, n in sorted(late.done.items())))


async def merchant_edits(scene: Scene) -> Hit:
    """Units, limit, price and stock change all the time while buyers buy."""
    waves, done = scene.waves, 0
    scarce = waves.sales[0]["id"]
    product = waves.products["demo-1"]
    await waves.middle_of_a_wave()
    at = now()
    while now() - at < scene.seconds:
        units, limit = waves.random.randint(100, 200), waves.random.randint(1, 4)
        waves.journal.note("sale", sale=scarce, units=units, limit=limit)
        for path, method, body in (
            (f"/v1/flash-sales/{scarce}", "PATCH", {"units": units, "per_buyer_limit": limit}),
            (f"/v1/products/{product}", "PATCH", {"price_cents": 10_000 + done}),
            (f"/v1/products/{product}/stock", "POST", {"delta": 5, "reason": "counted again"}),
            (f"/v1/products/{product}/stock", "POST", {"delta": -5, "reason": "counted again"}),
        ):
            with contextlib.suppress(Exception):  # "units are sold already" is an answer too
                await waves.shop.call(method, path, waves.merchant, body)
                done += 1
    if done < 10:
        raise Missed(f"only {done} edits were accepted")
    return Hit(at, now(), f"{done} edits of units, limit, price and stock accepted")


# ── F12: disk full ──────────────────────────────────────────────────────────────────────────────


async def fill_disk(scene: Scene) -> Hit:
    """The file system of the data directory has no byte left for a while."""
    assert scene.mounted is not None
    since = len(scene.server.logged())
    await scene.waves.middle_of_a_wave()
    at = now()
    filler = scene.mounted / "filler"
    end = now() + scene.seconds
    with filler.open("ab", buffering=0) as file:
        while now() < end:  # again and again: a log that is rotated must not make room
            with contextlib.suppress(OSError):
                while file.write(b"\0" * 4096):
                    pass
            await asyncio.sleep(0.05)
    free = shutil.disk_usage(scene.mounted).free
    filler.unlink()
    mended = ""
    if isinstance(scene.database, Postgres) and await scene.database.mend():
        mended = "; PostgreSQL had given up and was started again"
    line = next(
        (x for x in scene.server.logged()[since:].splitlines() if "full" in x or "space" in x), ""
    )
    if not line:
        raise Missed("no log line told of a full disk")
    return Hit(at, now(), f"{free} bytes were free{mended}; log: {line[-80:]}")


# ── F13: SIGSTOP ────────────────────────────────────────────────────────────────────────────────


async def stop_process(scene: Scene, kind: str) -> Hit:
    """A process stands still for a while, and goes on if nobody has ended it."""
    victim = scene.process(kind)
    await scene.waves.middle_of_a_wave()
    at = now()
    victim.send_signal(signal.SIGSTOP)
    await until(lambda: is_gone(victim) or is_stopped(victim), "the stop", 2)
    await asyncio.sleep(scene.seconds)
    ended = is_gone(victim)
    with contextlib.suppress(psutil.NoSuchProcess):
        victim.send_signal(signal.SIGCONT)
    words = "was ended meanwhile and replaced" if ended else "went on"
    return Hit(
        at, now(), f"process {victim.pid} ({kind}) stood for {scene.seconds:.0f} s and {words}"
    )


# ── F14, F15: the bus refuses, or forgets ───────────────────────────────────────────────────────


async def full_bus(scene: Scene) -> Hit:
    """The bus has no memory left for a while: it refuses every write."""
    bus = scene.bus()
    try:
        limit = (await bus.config_get("maxmemory"))["maxmemory"]
        await scene.waves.middle_of_a_wave()
        at = now()
        await bus.config_set("maxmemory", 1_000)
        await asyncio.sleep(scene.seconds)
        stats = await bus.info("errorstats")
        await bus.config_set("maxmemory", limit or 0)
    finally:
        await bus.aclose()
    refused = stats.get("errorstat_OOM", {}).get("count", 0)
    if not refused:
        raise Missed("the bus refused nothing")
    return Hit(at, now(), f"the bus refused {refused} writes with OOM")


async def flush_bus(scene: Scene) -> Hit:
    """Everything in the bus is deleted."""
    bus = scene.bus()
    try:
        await scene.waves.middle_of_a_wave()
        before = await bus.dbsize()
        at = now()
        await bus.flushall()
    finally:
        await bus.aclose()
    return Hit(at, now(), f"FLUSHALL removed {before} keys")


# ── F19: two servers on one data directory ──────────────────────────────────────────────────────


async def second_server(scene: Scene) -> Hit:
    """A second `liveserver run` on the same data directory gives up in words."""
    await scene.waves.middle_of_a_wave()
    at = now()
    done = await asyncio.to_thread(run_second, scene.server.data)
    if done.returncode != 1 or "another liveserver" not in done.stderr:
        raise Missed(f"the second server ended with {done.returncode}: {done.stderr[-200:]}")
    words = done.stderr.strip().partition(" uses the data directory")[0]
    return Hit(at, now(), f"exit 1: {words}")


def run_second(data: Path) -> subprocess.CompletedProcess[str]:
    environ = {"LIVESERVER_DATA_DIR": str(data), "LIVESERVER_PORT": "0", "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [BIN / "liveserver", "run", "--demo"],
        env=environ, cwd=data.parent, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


async def orphan_bus(scene: Scene) -> Hit:
    """kill -9 of the supervisor alone, and a new start at once beside its Valkey."""
    bus, children = scene.process("bus"), scene.server.children()
    await scene.waves.middle_of_a_wave()
    at = now()
    bus.send_signal(signal.SIGSTOP)  # else the workers may have ended it before we look
    scene.server.kill_supervisor_alone()
    orphan = not is_gone(bus)
    with contextlib.suppress(psutil.NoSuchProcess):
        bus.send_signal(signal.SIGCONT)
    await asyncio.to_thread(scene.server.start)
    await until(lambda: all(is_gone(child) for child in children), "the end of all children")
    if not orphan:
        raise Missed("the Valkey ended with its supervisor")
    return Hit(
        at, now(), f"Valkey {bus.pid} outlived its supervisor and was ended by the new start"
    )
