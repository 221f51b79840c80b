"""
What rooms are told of their picture: its state, which is on record, and its quality, which is not.

The newest state of each room waits until it is told; a failure is logged and tried again.
"""

import asyncio
import logging
import time
from typing import Any, Protocol

from liveserver.media.stage import WAITING_SECONDS, Broadcast, Now, Stage
from rooms.errors import NotFound, Refusal

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
QUALITY_SECONDS = 5  # between two looks at a picture's quality
STEADY_SECONDS = 30.0  # between two tellings of a steady one: each is a frame for every viewer
STEADY_SHARE = 0.1  # of its bits and pictures a second: so much more or less is as it was
SETTLE_SECONDS = 1.0  # between two looks at pictures that an earlier process left


class Rooms(Protocol):
    """What is asked of `rooms.service.RoomService`."""

    async def set_video(self, room: str, video: dict[str, Any] | None) -> None: ...

    async def rooms_with_video(self) -> dict[str, dict[str, Any]]: ...

    async def advise(self, room: str, event: dict[str, Any]) -> None: ...


class Announcer:
    """
    `tell` is the stage's report; `run` and `settle` are background tasks of the process.

    The stage of a new process knows nothing of the pictures that an earlier one left on record.
    They wait for their hosts as long as those of the stage do, and are given up here.
    """

    def __init__(self, rooms: Rooms, now: Now = time.monotonic) -> None:
        self._rooms = rooms
        self._now = now
        self._left: dict[str, float] = {}  # room with such a picture -> when it is given up
        self._waiting: dict[str, dict[str, Any] | None] = {}
        self._told: dict[str, tuple[dict[str, Any], float]] = {}  # room -> its quality, and when
        self._news = asyncio.Event()

    def tell(self, room: str, video: dict[str, Any] | None) -> None:
        """The newest state of a room's picture. Returns at once."""
        self._left.pop(room, None)
        self._waiting[room] = video
        self._news.set()

    async def run(self) -> None:
        """Tell what waits, until cancelled."""
        await self._take_up()
        while True:
            await self._news.wait()
            self._news.clear()
            for room in list(self._waiting):
                await self._tell_one(room)

    async def settle(self) -> None:
        """Give up, until cancelled, pictures whose hosts did not come back to this process."""
        while True:
            await asyncio.sleep(SETTLE_SECONDS)
            self.give_up()

    def give_up(self) -> None:
        """One look."""
        for room, until in list(self._left.items()):
            if self._now() > until:
                log.info("the host of %s did not come back", room)
                self.tell(room, None)

    async def quality(self, stage: Stage) -> None:
        """Tell rooms how their picture is when that changes, and now and then, until cancelled."""
        while True:
            await asyncio.sleep(QUALITY_SECONDS)
            live = [one for one in stage.broadcasts.values() if one.live]
            rooms = {one.room for one in live}
            self._told = {room: told for room, told in self._told.items() if room in rooms}
            for broadcast in live:
                await self._tell_quality(broadcast.room, quality_of(broadcast))

    async def _tell_quality(self, room: str, quality: dict[str, Any]) -> None:
        before, told_at = self._told.get(room, ({}, 0.0))
        now = self._now()
        if before and now - told_at < STEADY_SECONDS and is_as_before(quality, before):
            return
        try:
            await self._rooms.advise(room, quality)
            self._told[room] = quality, now
        except Refusal as refusal:
            log.debug("the quality of %s is not told: %s", room, refusal)

    async def _tell_one(self, room: str) -> None:
        video = self._waiting[room]
        try:
            await self._rooms.set_video(room, video)
        except NotFound:
            log.warning("a picture for %s, which is no room", room)
        except Exception as error:
            log.warning("%s is not told of its picture, trying again: %r", room, error)
            await asyncio.sleep(RETRY_SECONDS)
            self._news.set()
            return
        if self._waiting.get(room) is video:
            del self._waiting[room]
        else:
            self._news.set()

    async def _take_up(self) -> None:
        """Pictures of before this process began: their hosts are expected back."""
        while True:
            try:
                found = await self._rooms.rooms_with_video()
                break
            except Refusal as refusal:
                log.warning("earlier pictures cannot be read, trying again: %s", refusal)
                await asyncio.sleep(RETRY_SECONDS)
        for room, video in found.items():
            if room in self._waiting:
                continue  # its host is back already
            if video.get("state") == "live":
                self.tell(room, {**video, "state": "waiting"})
            self._left[room] = self._now() + WAITING_SECONDS


def is_as_before(quality: dict[str, Any], before: dict[str, Any]) -> bool:
    """Whether nobody could tell two `video.quality` from each other."""
    if quality["lost"] != before["lost"]:
        return False
    return all(
        abs(quality[name] - before[name]) <= STEADY_SHARE * max(quality[name], before[name])
        for name in ("kbps", "fps", "keyframe_seconds")
    )


def quality_of(broadcast: Broadcast) -> dict[str, Any]:
    """`video.quality` since the last time."""
    now = {"octets": 0, "frames": 0, "lost": 0}
    keyframe_seconds = 0.0
    for track in broadcast.tracks.values():
        now["octets"] += track.octets
        if track.kind == "video":
            now["frames"] += track.frames
            keyframe_seconds = track.keyframe_seconds
    if broadcast.publisher is not None:
        streams = broadcast.publisher.streams.values()
        now["lost"] = sum(stream.reception.lost for stream in streams)
    before, broadcast.measured = broadcast.measured, now
    since = {name: max(0, value - before.get(name, 0)) for name, value in now.items()}
    return {
        "type": "video.quality",
        "kbps": round(since["octets"] * 8 / QUALITY_SECONDS / 1000),
        "fps": round(since["frames"] / QUALITY_SECONDS),
        "keyframe_seconds": round(keyframe_seconds, 1),
        "lost": since["lost"],
    }
