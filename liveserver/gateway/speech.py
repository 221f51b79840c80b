"""The way from the socket to what a room is: speaking, counting, and calling methods."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec

from liveserver.gateway import codes
from liveserver.gateway.presence import Presence
from liveserver.identity import Identity
from rooms import protocol
from rooms.bus import Publication
from rooms.channels import Rules, room_of, split
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
    """Publications of clients, presence in numbers, and RPC."""

    def __init__(self, rooms: RoomService, rpc: "Rpc", presence: Presence) -> None:
        self._rooms = rooms
        self._rpc = rpc
        self._presence = presence

    def begin_publish(
        self,
        session: "Session",
        channel: str,
        rules: Rules,
        data: bytes,
        done: Callable[[object], None],
    ) -> Awaitable[object] | None:
        """
        Publish what a client may publish: None if `done` will be called, with an exception if it is
        refused, else wait. Raises the rooms' refusals.
        """
        subscription = session.subscriptions.get(channel)
        info = subscription.info if subscription else session.client_info()
        if not rules.built_in:
            return self._rooms.publish(channel, data, info, rules)
        namespace, room = split(channel)
        assert session.identity is not None, "the table lets nobody speak without a name"
        speaker, staff = _speaker(session.identity, room), moderates(session.identity, room)
        if namespace == "chat":
            return self._rooms.begin_say(room, speaker, info, data, done, staff=staff)
        return self._throw(session, channel, speaker, info, data, staff=staff)

    async def _throw(
        self,
        session: "Session",
        channel: str,
        speaker: Speaker,
        info: bytes,
        data: bytes,
        *,
        staff: bool,
    ) -> None:
        _, room = split(channel)
        own = await self._rooms.throw(room, speaker, info, data, staff=staff)
        if own is not None and channel in session.subscriptions:  # sampled out: its sender sees it
            item = Publication(channel=channel, data=own)
            session.push(session.encoding.push(session.encoding.head(channel), item))

    async def presence_stats(self, channel: str) -> protocol.PresenceStats:
        """How many are in a channel; in a room's channels as the room itself counts them."""
        room = room_of(channel)
        if room is not None:
            snapshot = msgspec.json.decode(await self._rooms.snapshot(room), type=_Snapshot)
            return protocol.PresenceStats(snapshot.stats.online, snapshot.stats.online)
        infos = (await self._presence.infos(channel)).values()
        users = {msgspec.json.decode(info, type=_User).user for info in infos}
        return protocol.PresenceStats(len(infos), len(users))

    def begin(
        self,
        identity: Identity | None,
        method: str,
        data: bytes,
        done: Callable[[bytes | Exception], None],
        address: str = "",
    ) -> Awaitable[bytes] | None:
        """Begin an RPC method: None if `done` will be called, else wait for its answer (JSON)."""
        if method not in self._rpc.methods:
            raise codes.Fail(codes.NOT_AVAILABLE)
        self._rpc.limit(identity, method, address)
        if self._rpc.begin(identity, method, data, done):
            return None
        return self._rpc.call(identity, method, data)


def moderates(identity: Identity, room: str) -> bool:
    """Whether the rules for talking in this room are this person's to set, and do not hold."""
    own = identity.role in ("streamer", "moderator") and room in identity.rooms
    return own or identity.role == "admin"


def _speaker(identity: Identity, room: str) -> Speaker:
    """Badges are shown where they mean something: staff of another room are viewers here."""
    at_home = identity.role in ("admin", "merchant") or room in identity.rooms
    badges = identity.staff_badges if at_home else ()
    return Speaker(id=identity.user, name=identity.name, badges=list(badges))
