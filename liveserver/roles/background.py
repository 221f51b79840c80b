"""Work that goes on beside a role for as long as it is served."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Work = Callable[[], Awaitable[None]]  # runs until cancelled


@asynccontextmanager
async def background(tasks: dict[str, Work]) -> AsyncIterator[None]:
    """Run `tasks` beside the body; one that ends takes the process with it, to be started anew."""

    async def forever(name: str, work: Work) -> None:
        await work()
        raise RuntimeError(f"{name} ended without being asked to")

    async with asyncio.TaskGroup() as group:
        running = [group.create_task(forever(name, work)) for name, work in tasks.items()]
        try:
            yield
        finally:
            for task in running:
                task.cancel()
