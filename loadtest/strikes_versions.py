"""F18: a next version joins under load, first beside the old writer, then in its place."""

import asyncio
import signal

from loadtest.journal import now
from loadtest.scene import Hit, Missed, Scene, logged
from loadtest.server import Server

SERVED = 30  # orders that each gateway must get from each writer
PHASE_SECONDS = 15.0  # for that; what is missing then is a violation


async def upgrade(scene: Scene) -> Hit:
    """The next version's schema and gateway come first, then its writer; the old gateway stays."""
    waves, (writer, gateway) = scene.waves, scene.following
    await waves.middle_of_a_wave()
    at = now()
    await asyncio.to_thread(writer.start)  # brings the schema up, and stands by
    await asyncio.to_thread(gateway.start)
    waves.more_bases.append(gateway.base)
    before = await both_are_served(scene, "old writer")
    line = await succeed(scene, writer)
    after = await both_are_served(scene, "next writer")
    versions = [await version(scene, base) for base in waves.bases]
    if len(set(versions)) != 2:
        raise Missed(f"no two versions: {versions}")
    words = f"gateways {' and '.join(versions)}; orders by the old writer {before}, by the next"
    return Hit(at, now(), f"{words} {after}; log: {line[-70:]}")


async def succeed(scene: Scene, writer: Server) -> str:
    """The old writer is told to end; its supervisor then starts it again, to stand by."""
    old, supervisor = scene.process("writer"), scene.process("supervisor")
    since = len(writer.logged())
    supervisor.send_signal(signal.SIGSTOP)  # it would be faster
    try:
        old.terminate()
        return await logged(writer, "holds the lease", since)
    finally:
        supervisor.send_signal(signal.SIGCONT)


async def both_are_served(scene: Scene, phase: str) -> list[int]:
    """How many orders each gateway got; the check V1 reads them, too."""
    waves = scene.waves
    start, end = waves.served.copy(), now() + PHASE_SECONDS
    while True:
        served = [waves.served[base] - start[base] for base in waves.bases]
        if min(served) >= SERVED or now() > end:
            waves.journal.note("phase", name=phase, served=served)
            return served
        await asyncio.sleep(0.1)


async def version(scene: Scene, base: str) -> str:
    """What the gateway there calls itself."""
    async with scene.waves.shop.session.get(f"{base}/openapi.json") as answer:
        return str((await answer.json())["info"]["version"])
