"""The way from the socket to what a room is: speaking, counting, and calling methods."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec

from liveserver.gateway import codes
from liveserver.gateway.presence import Presence
from liveserver.gateway.voice import Voice
from rooms import protocol
from rooms.bus import Publication
from rooms.channels import room_of
from rooms.room import Speaker
from rooms.service import RoomService

if TYPE_CHECKING:
    from liveserver.gateway.session import Session
    from liveserver.rpc import Rpc


class _Stats(msgspec.Struct):
    online: int = 0


class _Snapshot(msgspec.Struct):
    stats: _Stats


class _User(msgspec.Struct):
    user: str = ""


class Speech:
    """
    Publications of clients, presence in numbers, and RPC. `viewers_here(room)` counts those of this
    worker.
    """

    def __init__(
        self,
        rooms: RoomService,
        rpc: "Rpc",
        presence: Presence,
        viewers_here: Callable[[str], int],
    ) -> None:
        self._rooms = rooms
        self._rpc = rpc
        self._presence = presence
        self._viewers_here = viewers_here

    def begin_publish(
        self, session: "Session", voice: Voice, data: bytes, done: Callable[[object], None]
    ) -> Awaitable[object] | None:
        """
        Publish what a client may publish: None if `done` will be called, with an exception if it is
        refused, else wait. Raises the rooms' refusals.
        """
        speaker = voice.speaker
        if speaker is None:
            return self._rooms.publish(voice.channel, data, voice.info, voice.rules)
        if voice.namespace == "chat":
            return self._rooms.begin_say(
                voice.room, speaker, voice.info, data, done, staff=voice.staff
            )
        return self._throw(session, voice, speaker, data)

    async def _throw(self, session: "Session", voice: Voice, speaker: Speaker, data: bytes) -> None:
        own = await self._rooms.throw(voice.room, speaker, voice.info, data, staff=voice.staff)
        channel = voice.channel
        if own is not None and channel in session.subscriptions:  # sampled out: its sender sees it
            item = Publication(channel=channel, data=own)
            session.push(session.encoding.push(session.encoding.head(channel), item))

    async def presence_stats(self, channel: str) -> protocol.PresenceStats:
        """
        How many are in a channel; in a room's channels as the room itself counts them, which it
        does once a second: never fewer than are here, so that who asks is counted.
        """
        room = room_of(channel)
        if room is not None:
            snapshot = msgspec.json.decode(await self._rooms.snapshot(room), type=_Snapshot)
            online = max(snapshot.stats.online, self._viewers_here(room))
            return protocol.PresenceStats(online, online)
        infos = (await self._presence.infos(channel)).values()
        users = {msgspec.json.decode(info, type=_User).user for info in infos}
        return protocol.PresenceStats(len(infos), len(users))

    def begin(
        self,
        session: "Session",
        method: str,
        data: bytes,
        done: Callable[[bytes | Exception], None],
    ) -> Awaitable[bytes] | None:
        """Begin an RPC method: None if `done` will be called, else wait for its answer (JSON)."""
        if method not in self._rpc.methods:
            raise codes.Fail(codes.NOT_AVAILABLE)
        self._rpc.limit(session.identity, method, session.address)
        if self._rpc.begin(session.identity, method, data, done):
            return None
        return self._rpc.call(session.identity, method, data)
