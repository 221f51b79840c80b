"""
One worker process: its parts opened, its roles served, everything closed in reverse.

A worker serves one or more roles (`liveserver/roles/`). `gateway` holds sockets, pages and the HTTP
API; `orders` holds the single writer and everything that follows its commits; `media` the picture.
With one worker the door to the writer is a function call; else it leads through Redis.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

from liveserver.roles.gateway import serving_gateway
from liveserver.roles.media import serving_media
from liveserver.roles.orders import serving_orders
from liveserver.roles.parts import open_parts
from liveserver.worker_settings import WorkerSettings


async def run_worker(
    settings: WorkerSettings, ready: Callable[[], None], beat: Callable[[], None]
) -> None:
    """Serve the roles of `settings` until cancelled."""
    async with AsyncExitStack() as stack:
        parts = await open_parts(settings, stack)
        if "orders" in settings.roles:
            await stack.enter_async_context(serving_orders(settings, parts, beat))
        if "media" in settings.roles:
            await stack.enter_async_context(serving_media(settings, parts))
        if "gateway" in settings.roles:
            await stack.enter_async_context(serving_gateway(settings, parts))
        ready()
        await asyncio.Event().wait()
