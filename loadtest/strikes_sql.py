"""The faults of the writer and its database: killed, stopped, succeeded, gone, slow, restarted."""

import asyncio
import contextlib
import signal

import psutil

from loadtest.journal import now
from loadtest.scene import Hit, Missed, Scene, is_gone, is_stopped, logged, until

LOOKS = 3_000  # at where the writer stands, until it stands where it is wanted


# ── F2: kill -9 the writer ──────────────────────────────────────────────────────────────────────


async def where_in_the_batch(scene: Scene) -> str:
    """
    Where the writer stands, while it is stopped: `in` a transaction, `after` a commit that no
    client has heard of, else `before` one.
    """
    if await scene.database.in_a_transaction():
        return "in"
    return "after" if await scene.database.keys() - scene.waves.told_keys else "before"


async def stop_at(scene: Scene, victim: psutil.Process, moment: str) -> int:
    """Stop the writer again and again until it stands at `moment`; how often that took."""
    for tries in range(1, LOOKS):
        await scene.waves.middle_of_a_wave(least=10)
        await asyncio.sleep(scene.waves.random.uniform(0, 0.03))
        victim.send_signal(signal.SIGSTOP)
        stays = False
        try:
            await until(lambda: is_stopped(victim), "the stop", 2)
            stays = scene.waves.open_asks >= 5 and await where_in_the_batch(scene) == moment
        finally:
            if not stays:
                victim.send_signal(signal.SIGCONT)
        if stays:
            return tries
    raise Missed(f"the writer was never met {moment} a commit")


async def kill_writer(scene: Scene, moment: str) -> Hit:
    """It is killed where it stands; its supervisor starts another one."""
    victim = scene.process("writer")
    since = len(scene.server.logged())
    tries = await stop_at(scene, victim, moment)
    at = now()
    victim.send_signal(signal.SIGKILL)
    await until(lambda: is_gone(victim), f"the end of process {victim.pid}")
    line = await logged(scene.server, "holds the lease", since)
    words = f"process {victim.pid} killed {moment} a commit (look {tries}); log: "
    return Hit(at, now(), words + line[-70:])


# ── a standby ───────────────────────────────────────────────────────────────────────────────────


async def kill_holder(scene: Scene) -> Hit:
    """The holder is killed, nobody starts it again: as if its machine were gone."""
    standby = scene.more[0]
    holder, supervisor = scene.process("writer"), scene.process("supervisor")
    since = len(standby.logged())
    tries = await stop_at(scene, holder, "in")
    at = now()
    supervisor.send_signal(signal.SIGSTOP)  # it would start another one at once
    try:
        holder.send_signal(signal.SIGKILL)
        await until(lambda: is_gone(holder), f"the end of process {holder.pid}")
        line = await logged(standby, "holds the lease", since)
    finally:
        supervisor.send_signal(signal.SIGCONT)
    words = f"process {holder.pid} killed in a commit (look {tries}); standby: "
    return Hit(at, now(), words + line[-60:])


async def stop_holder(scene: Scene) -> Hit:
    """The holder stands still inside a transaction and goes on after another one took over."""
    standby, holder = scene.more[0], scene.process("writer")
    since, since_standby = len(scene.server.logged()), len(standby.logged())
    await stop_at(scene, holder, "in")
    at = now()
    try:
        line = await logged(standby, "holds the lease", since_standby)
        await asyncio.sleep(max(1.0, scene.seconds - (now() - at)))
    finally:
        holder.send_signal(signal.SIGCONT)
    lost = await logged(scene.server, f"writer {holder.cmdline()[-1]}: ", since)
    return Hit(at, now(), f"standby: {line[-50:]}; first holder: {lost[-90:]}")


# ── F5: two writers at once ─────────────────────────────────────────────────────────────────────


async def two_writers(scene: Scene) -> Hit:
    """The holder is stopped outside a transaction; a standby takes over; the holder wakes up."""
    standby = scene.more[0]
    holder, supervisor = scene.process("writer"), scene.process("supervisor")
    since, since_standby = len(scene.server.logged()), len(standby.logged())
    while True:
        await scene.waves.middle_of_a_wave(least=10)
        holder.send_signal(signal.SIGSTOP)
        await until(lambda: is_stopped(holder), "the stop", 2)
        if not await scene.database.in_a_transaction():
            break
        holder.send_signal(signal.SIGCONT)
    at = now()
    supervisor.send_signal(signal.SIGSTOP)  # it would kill a holder that stands still
    try:
        line = await logged(standby, "holds the lease", since_standby)
        await asyncio.sleep(1.0)  # the new holder sells
    finally:
        holder.send_signal(signal.SIGCONT)
        supervisor.send_signal(signal.SIGCONT)
    lost = await logged(scene.server, "another holder has the lease", since)
    return Hit(at, now(), f"standby: {line[-50:]}; first holder: {lost[-50:]}")


# ── F6, F7: the database is gone, held, or slow ─────────────────────────────────────────────────


async def no_database(scene: Scene) -> Hit:
    """Nobody can write for a while."""
    since = len(scene.server.logged())
    await scene.waves.middle_of_a_wave()
    at = now()
    words = await scene.database.gone(scene.seconds)
    ended = now()
    fresh = scene.server.logged()[since:].splitlines()
    line = next((x for x in fresh if " writer " in x), "")
    if not line:
        raise Missed(f"{words}, and the writer said nothing")
    return Hit(at, ended, f"{words}; log: {line[-90:]}")


async def held_database(scene: Scene) -> Hit:
    """Somebody else holds the row of the lease: an administrator's open transaction."""
    since = len(scene.server.logged())
    await scene.waves.middle_of_a_wave()
    at, before = now(), await scene.database.keys()
    async with scene.postgres.locked_lease():
        before = await scene.database.keys()
        await asyncio.sleep(scene.seconds)
        more = len(await scene.database.keys() - before)
    if more:
        raise Missed(f"{more} orders were written beside the lock")
    ended = now()
    line = await logged(scene.server, " writer ", since)
    return Hit(at, ended, f"no order for {scene.seconds:.0f} s; log: {line[-90:]}")


async def slow_database(scene: Scene) -> Hit:
    """Every commit takes half a second longer."""
    await scene.waves.middle_of_a_wave()
    at = now()
    words = await scene.database.slow(scene.seconds)
    return Hit(at, now(), words)


# ── F8, F13, F20: a database server ─────────────────────────────────────────────────────────────


async def cut_database(scene: Scene) -> Hit:
    """Nothing passes either way and nobody notices; then all is cut; then it heals."""
    proxy = scene.postgres.proxy
    assert proxy is not None
    await scene.waves.middle_of_a_wave()
    at = now()
    proxy.silent = True
    await asyncio.sleep(scene.seconds / 2)
    proxy.refuse = True
    cut = proxy.cut_all()
    proxy.silent = False
    await asyncio.sleep(scene.seconds / 2)
    proxy.refuse = False
    words = f"{proxy.swallowed} bytes lost both ways, {cut} connections cut, "
    return Hit(at, now(), words + f"{proxy.refused} refused")


async def stop_database(scene: Scene) -> Hit:
    """PostgreSQL and all its backends stand still."""
    await scene.waves.middle_of_a_wave()
    at, stopped = now(), scene.postgres.processes()
    for process in stopped:
        process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(scene.seconds)
    for process in stopped:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGCONT)
    return Hit(at, now(), f"{len(stopped)} processes stood for {scene.seconds:.0f} s")


async def restart_database(scene: Scene, how: str) -> Hit:
    """PostgreSQL is shut down while the writer is inside a transaction, and started again."""
    database, writer = scene.postgres, scene.process("writer")
    since, old = len(database.logged()), database.processes()[0].pid
    tries = await stop_at(scene, writer, "in")
    at = now()
    try:
        await database.stop(how)
    finally:
        writer.send_signal(signal.SIGCONT)
    await database.start()
    new = database.processes()[0].pid
    lines = database.logged()[since:].splitlines()
    line = next((x for x in lines if "automatic recovery" in x or "shut down at" in x), "")
    words = f"postmaster {old} > {new}, in a batch (look {tries}); its log: "
    return Hit(at, now(), words + line.partition("LOG:")[2].strip()[:90])
