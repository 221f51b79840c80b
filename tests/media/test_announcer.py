"""What becomes of pictures that a media process left on record when it died."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from liveserver.media.announcer import Announcer, is_as_before
from liveserver.media.stage import WAITING_SECONDS
from tests.media.conftest import Scene, until
from tests.media.pictures import Camera, encoded


class Record:
    """Rooms as far as their pictures are concerned; `told` is every state of each, in order."""

    def __init__(self, **videos: dict[str, Any]) -> None:
        self.videos: dict[str, dict[str, Any] | None] = dict(videos)
        self.told: dict[str, list[Any]] = {room: [] for room in videos}

    async def set_video(self, room: str, video: dict[str, Any] | None) -> None:
        self.videos[room] = video
        self.told[room].append(video and video["state"])

    async def rooms_with_video(self) -> dict[str, dict[str, Any]]:
        return {room: video for room, video in self.videos.items() if video is not None}

    async def advise(self, room: str, event: dict[str, Any]) -> None:
        return None


class Hours:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@contextlib.asynccontextmanager
async def restarted(record: Record, hours: Hours) -> AsyncIterator[Announcer]:
    """The announcer of a new process."""
    announcer = Announcer(record, hours)
    task = asyncio.create_task(announcer.run())
    try:
        yield announcer
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_room_does_not_wait_for_ever_for_a_host_who_stays_away() -> None:
    """Live or waiting when the process died: ten minutes of patience, then there is no picture."""
    record, hours = Record(live={"state": "live"}, away={"state": "waiting"}), Hours()
    async with restarted(record, hours) as announcer:
        await until(lambda: record.told["live"] == ["waiting"], "that the host is waited for")
        hours.now = WAITING_SECONDS - 1
        announcer.give_up()
        await asyncio.sleep(0)
        assert record.told == {"live": ["waiting"], "away": []}
        hours.now = WAITING_SECONDS + 1
        announcer.give_up()
        await until(lambda: list(record.videos.values()) == [None, None], "the end of both")
        announcer.give_up()
        await asyncio.sleep(0)
        assert record.told == {"live": ["waiting", None], "away": [None]}


async def test_a_host_who_comes_back_to_a_new_process_is_not_given_up(scene: Scene) -> None:
    """Its picture is the stage's from then on, however long ago the old process died."""
    record, hours = Record(r={"state": "live"}), Hours()
    async with restarted(record, hours) as announcer:
        await until(lambda: record.told["r"], "that the host is waited for")
        Camera(await scene.publisher()).show(encoded(range(3)))
        await until(lambda: scene.told, "a picture")
        announcer.tell(*scene.told[0])
        hours.now = 10 * WAITING_SECONDS
        announcer.give_up()
        await until(lambda: len(record.told["r"]) == 2, "the picture")
        assert record.told["r"] == ["waiting", "live"]


QUALITY = {"kbps": 1500, "fps": 30, "keyframe_seconds": 2.0, "lost": 0}


@pytest.mark.parametrize("same", [{}, {"kbps": 1600}, {"kbps": 1400, "fps": 28}])
def test_a_steady_picture_is_not_told_to_every_viewer_again(same: dict[str, float]) -> None:
    """A tenth more or less is what every encoder does."""
    assert is_as_before({**QUALITY, **same}, QUALITY)


@pytest.mark.parametrize(
    "other", [{"kbps": 700}, {"fps": 15}, {"lost": 3}, {"keyframe_seconds": 4.0}, {"kbps": 0}]
)
def test_a_picture_that_changes_is_told(other: dict[str, float]) -> None:
    """Whoever runs the show must see it at once."""
    assert not is_as_before({**QUALITY, **other}, QUALITY)
    assert not is_as_before(QUALITY, {**QUALITY, **other})
