"""The role that carries the picture."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from liveserver import demo
from liveserver.roles.background import background
from liveserver.roles.clock import now_ms
from liveserver.roles.parts import Parts
from liveserver.worker_settings import WorkerSettings


@asynccontextmanager
async def serving_media(settings: WorkerSettings, parts: Parts) -> AsyncIterator[None]:
    """Video. Imported here, so that a crash in what it loads cannot take the chat with it."""
    from liveserver.media.process import Media

    room = demo.ROOM if settings.demo else None
    path = Path(settings.media_socket)
    media = Media(settings.config, parts.talk.rooms, now_ms, path, demo_room=room)
    tasks = {**media.work, "rooms": parts.talk.rooms.run}
    async with media.serving(), background(tasks):
        yield
