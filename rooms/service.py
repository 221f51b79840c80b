"""
The use cases of rooms: what the server asks for, over the bus, the record and the shop.

Every method raises `rooms.errors.Refusal`. Times are integer milliseconds from `now`.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from rooms import channels, snapshot, text
from rooms import rehearsal as rehearsals
from rooms.bus import Bus, Message, Outcome
from rooms.counts_service import Counts
from rooms.errors import Invalid, NotFound, Refusal, Unavailable, WrongState
from rooms.guard_service import Guard
from rooms.known_service import KnownRooms
from rooms.outbox_service import Outbox
from rooms.pacing_service import FreshReads
from rooms.record_news_service import RecordNews, console_message
from rooms.reports import Held
from rooms.room import Room, Speaker
from rooms.shop_service import ShopNews
from rooms.source import ShowSource
from rooms.state_service import Change, StateKeeper, numbered
from rooms.store import RoomStore
from rooms.talk_service import Talk
from rooms.text import one_line
from rooms.times import rfc3339

SHOWS_TOPIC = "\x1fshows"  # no room and no channel can have this name
TICK_SECONDS = 1.0  # viewers, likes, and what could not be published
SHELF_MAX = 100  # products on a shelf
MERCHANTS_MAX = 50  # merchants of a room
PAGE_MAX = 100  # rooms in one answer
USERS_AT_ONCE = 200  # told in one round trip: some milliseconds inside the bus

Ids = list[str]  # by another name, because `RoomService.list` hides the built-in one
Items = list[dict[str, Any]]

_ROOM_ID = re.compile(r"[a-z0-9-]{1,40}")

log = logging.getLogger(__name__)


class RoomService:
    """
    What can be done with rooms. `node` is random per process start; without `guard` everybody may
    say everything (tools and tests that are about something else).
    """

    def __init__(
        self,
        bus: Bus,
        store: RoomStore,
        source: ShowSource,
        *,
        node: str,
        now: Callable[[], int],
        new_id: Callable[[str], str],
        guard: Guard | None = None,
    ) -> None:
        self._bus = bus
        self._guard = guard
        self._store = store
        self._node = node
        self._now = now
        self._new_id = new_id
        self._known = KnownRooms(store, now)
        self._state = StateKeeper(bus, store, source)
        self._outbox = Outbox(bus, self._state.restore)
        self._talk = Talk(self._outbox, guard, now=now, new_id=new_id, on_held=self._tell_held)
        self._counts = Counts(bus, self._known.recent)
        self._reads = FreshReads()  # snapshots
        self._shop = ShopNews(self._outbox, self._state, store, now=now)
        self._news = RecordNews(self._outbox, self._state, store, self._shop, now)
        bus.on_reconnect(self._news.reconnected)

    # Rooms

    async def create(self, id: str, title: str, merchant_ids: Sequence[str], *, actor: str) -> Room:
        """A new room. Raises Invalid, WrongState (the id is taken)."""
        if not _ROOM_ID.fullmatch(id):
            raise Invalid("A room's id is 1 to 40 of a-z, 0-9 and -")
        room = Room(
            id=id,
            title=_title(title),
            state="idle",
            show=None,
            started_at=None,
            merchant_ids=_merchants(merchant_ids),
        )
        parts = {"room": msgspec.json.encode(room)}
        await self._store.create(room, parts, at=self._now())
        self._known.remember(id, room)
        try:
            await self._state.begin(id)
            await self._tell_staff(id, "room.created", actor)
        except Unavailable as problem:
            self._news.postpone(id, problem)
        return room

    async def edit(
        self,
        room: str,
        *,
        title: str | None = None,
        merchant_ids: Sequence[str] | None = None,
        actor: str,
    ) -> Room:
        """Change title or merchants."""
        new_title = None if title is None else _title(title)
        merchants = None if merchant_ids is None else _merchants(merchant_ids)

        def change(old: Room) -> Room:
            return msgspec.structs.replace(
                old,
                title=old.title if new_title is None else new_title,
                merchant_ids=old.merchant_ids if merchants is None else merchants,
            )

        return await self._change(room, change, "room.updated", actor)

    async def list(
        self,
        state: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
        rehearsing: Sequence[str] | None = (),
    ) -> tuple[list[Room], str | None]:
        """
        Rooms in order of id, and the cursor of the next page. Of those that rehearse, only these
        (None: all) are listed.
        """
        size = max(1, min(limit, PAGE_MAX))
        rooms = await self._store.page(state, cursor or "", size + 1, rehearsing)
        return rooms[:size], rooms[size - 1].id if len(rooms) > size else None

    async def get(self, room: str) -> Room:
        """The room on record. Raises NotFound."""
        found = await self._known.read(room)
        if found is None:
            raise NotFound(f"There is no room {room}")
        return found

    async def start(self, room: str, *, actor: str, rehearsal: bool = False) -> Room:
        """Go live with a new show, or rehearse one. Raises WrongState if the room is live."""
        show = self._new_id("shw")

        def change(old: Room) -> Room:
            started_at = rfc3339(self._now())
            return rehearsals.begin(old, show=show, started_at=started_at, rehearsal=rehearsal)

        started = await self._change(room, change, "room.started", actor)
        try:
            await self._shop.tidy(room)
        except Unavailable as problem:
            log.warning("finished sales of %s stay on the bus: %s", room, problem)
        return started

    async def end(self, room: str, *, actor: str) -> Room:
        """End the show. Raises WrongState if the room is not live."""

        def change(old: Room) -> Room:
            if old.state != "live":
                raise WrongState("The room is not live")
            return msgspec.structs.replace(old, state="ended")

        ended = await self._change(room, change, "room.ended", actor)
        if ended.rehearsal:
            await self._put_trial(room, None, actor)
        return ended

    async def try_sale(self, room: str, sale: dict[str, Any] | None, *, actor: str) -> None:
        """
        Show what a flash sale would look like, or none: `sale` has the form of one and is in no
        ledger. Raises WrongState unless the room rehearses.
        """
        now = await self.get(room)
        rehearsals.check_is_on(now)
        await self._put_trial(room, None if sale is None else {**sale, "show": now.show}, actor)

    async def _put_trial(self, room: str, sale: dict[str, Any] | None, actor: str) -> None:
        version = await self._store.put(room, rehearsals.SALE_PART, msgspec.json.encode(sale))
        await self._news.tell(
            room, ({"type": "rehearsal.sale", "flash_sale": sale}, version), actor
        )

    # What the room shows

    async def set_notice(self, room: str, text_or_none: str | None, *, actor: str) -> Room:
        """Show a notice, or none."""
        notice = text_or_none and text.clean(
            text_or_none, longest=text.NOTICE_LENGTH_MAX, what="The notice"
        )
        version = await self._store.put(room, "notice", msgspec.json.encode(notice or None))
        event = {"type": "room.notice", "text": notice or None}
        await self._news.tell(room, (event, version), actor)
        return await self.get(room)

    async def pin(self, room: str, product_id: str | None, *, actor: str) -> Room:
        """Pin a product of the shelf, or none. Raises NotFound if it is not on the shelf."""
        if product_id is not None and product_id not in await self._shelf_ids(room):
            raise NotFound("The product is not on the shelf of this room")
        version = await self._store.put(room, "pinned", msgspec.json.encode(product_id))
        event = {"type": "shelf.pinned", "product_id": product_id}
        await self._news.tell(room, (event, version), actor)
        return await self.get(room)

    async def set_shelf(self, room: str, product_ids: Sequence[str], *, actor: str) -> Items:
        """Put these products on the shelf, in this order. Raises NotFound for unknown ones."""
        ids = list(product_ids)
        if len(ids) > SHELF_MAX:
            raise Invalid(f"A shelf holds {SHELF_MAX} products")
        if len(set(ids)) < len(ids):
            raise Invalid("A product stands on the shelf once")

        async def read(wanted: Ids) -> Items:
            items = await self._state.shelf(wanted)
            missing = set(wanted) - {item["id"] for item in items}
            if missing:
                raise NotFound("There is no product " + ", ".join(sorted(missing)))
            return items

        items, version = await self._store.put_shelf(room, ids, read)
        await self._news.tell(room, ({"type": "shelf.updated", "items": items}, version), actor)
        pinned = (await self._store.parts(room)).get("pinned")
        if pinned and msgspec.json.decode(pinned.body) not in (None, *ids):
            await self.pin(room, None, actor=actor)
        return items

    async def refresh_shelf(self, room: str) -> None:
        """Products of the shelf changed: show them, at most twice a second. Returns at once."""
        self._shop.shelf_changed(room)

    async def rooms_showing(self, product_id: str) -> Ids:
        """Rooms that have the product on their shelf."""
        return await self._store.rooms_showing(product_id)

    async def publish_sale(self, room: str, sale_id: str, body: bytes, version: int) -> None:
        """A flash sale changed: show its newest version, at most once a tick. Returns at once."""
        self._shop.sale_changed(room, sale_id, one_line(body), version)

    # What viewers do

    async def say(
        self, room: str, speaker: Speaker, info: bytes, data: bytes, *, staff: bool = False
    ) -> Outcome:
        """
        Publish a line of chat; returns when it is numbered, or waits for staff (then without a
        position). The rules of the room do not hold for its `staff`.

        Raises:
            Invalid, Forbidden, TooFast: Refused; the sender keeps the text.
        """
        await self._known.must_exist(room)
        return await self._talk.say(room, speaker, info, data, staff=staff)

    def begin_say(
        self,
        room: str,
        speaker: Speaker,
        info: bytes,
        data: bytes,
        done: Callable[[Outcome | Exception], None],
        *,
        staff: bool = False,
    ) -> Awaitable[Outcome] | None:
        """`say` where nothing but the bus has to wait: None if `done` will be called, else wait."""
        if not self._known.exists(room):
            return self.say(room, speaker, info, data, staff=staff)
        return self._talk.begin(room, speaker, info, data, done, staff=staff)

    async def throw(
        self, room: str, speaker: Speaker, info: bytes, data: bytes, *, staff: bool = False
    ) -> bytes | None:
        """
        Throw danmaku. None if everybody gets it; if it was sampled out, the publication's data,
        to be shown to its sender alone.
        """
        await self._known.must_exist(room)
        return await self._talk.throw(room, speaker, info, data, staff=staff)

    async def like(self, room: str, count: int, user: str = "") -> None:
        """Add likes of `user` to the room; they are summed once a second."""
        await self._known.must_exist(room)
        if user and self._guard is not None:
            await self._guard.like(room, user)
        self._counts.like(room, count)

    @property
    def drops(self) -> Mapping[str, int]:
        """How many messages of viewers not everybody got, by reason."""
        return self._talk.drops

    def note_online(self, room: str, count: int) -> None:
        """This worker's viewers of the room."""
        self._counts.note_online(room, count)

    # What is read and told

    async def snapshot(self, room: str) -> bytes:
        """The contract's snapshot as JSON, as of after the call began."""

        async def read() -> bytes:
            return snapshot.encode(await self._state.snapshot(room), self._now())

        return await self._reads.get(room, read)

    async def advise(self, room: str, event: dict[str, Any]) -> None:
        """Tell the room something that is not numbered: who misses it, misses nothing."""
        data = msgspec.json.encode({"type": event["type"], "at": self._now(), **event})
        message = Message(channel=f"room:{room}", data=data, numbered=False)
        await self._outbox.send(room, [message])

    async def caption(self, room: str, words: str) -> None:
        """Show what is being said, to those who want it written. Raises WrongState, Invalid."""
        if (await self.get(room)).state != "live":
            raise WrongState("The room is not live")
        line = text.clean(words, longest=text.CAPTION_LENGTH_MAX, what="The caption")
        await self.advise(room, {"type": "caption", "text": line})

    async def announce(self, room: str, event: dict[str, Any]) -> None:
        """Tell the room something that is numbered and changes none of its state."""
        data = msgspec.json.encode({"type": event["type"], "at": self._now(), **event})
        await self._outbox.send(room, [numbered(f"room:{room}", data)])

    async def tell_change(self, room: str, change: Change, actor: str) -> None:
        """Tell a change of state that is on record: an event and the version of its part."""
        await self._news.tell(room, change, actor)

    async def release(self, room: str, channel: str, data: bytes, info: bytes) -> None:
        """Publish a message that waited for staff."""
        chat = channel.startswith("chat:")
        message = (
            numbered(channel, data, info=info)
            if chat
            else Message(channel=channel, data=data, info=info, numbered=False)
        )
        await self._outbox.send(room, [message])

    async def set_video(self, room: str, video: dict[str, Any] | None) -> None:
        """Record the room's picture and tell it; None: there is none. Raises NotFound."""
        version = await self._store.put(room, "video", msgspec.json.encode(video))
        live = video is not None and video.get("state") == "live"
        event = {"type": "video.started" if live else "video.stopped", "video": video}
        await self._news.tell(room, (event, version), "media")

    async def rooms_with_video(self) -> dict[str, dict[str, Any]]:
        """Rooms whose picture is on record, with what is known of it."""
        found = await self._store.with_part("video")
        decoded = {room: msgspec.json.decode(body) for room, body in found.items()}
        return {room: video for room, video in decoded.items() if video is not None}

    async def tell_console(self, room: str, event: dict[str, Any]) -> None:
        """Tell the staff of the room."""
        await self._outbox.send(room, [console_message(room, event, self._now())])

    async def tell_user(self, user: str, event: dict[str, Any]) -> None:
        """Tell one user, on all of the user's pages; kept for those that are away."""
        await self.tell_users({user: [event]})

    async def tell_users(self, events: Mapping[str, Sequence[dict[str, Any]]]) -> None:
        """Tell many users, each their events in order, in few round trips."""
        now, encode = self._now(), msgspec.json.encode
        await self.tell_users_json({
            user: [encode({"type": event["type"], "at": now, **event}) for event in theirs]
            for user, theirs in events.items()
        })  # fmt: skip

    async def tell_users_json(self, events: Mapping[str, Sequence[bytes]]) -> None:
        """The same of events that are JSON in one line already, with their `type` and `at`."""
        batches = []
        for user, theirs in events.items():
            channel = channels.personal(user)
            batches.append((channel, [numbered(channel, event) for event in theirs]))
        for start in range(0, len(batches), USERS_AT_ONCE):
            await self._bus.publish_many(batches[start : start + USERS_AT_ONCE])

    async def publish(
        self, channel: str, data: bytes, info: bytes, rules: channels.Rules
    ) -> Outcome:
        """Publish into an operator's channel, as its namespace says."""
        message = Message(
            channel=channel,
            data=one_line(data),
            info=info,
            numbered=rules.has_history,
            history_size=rules.history_size,
            history_ttl_seconds=rules.history_ttl_seconds,
        )
        topic = channels.topic_of(channel)
        [outcome] = await self._outbox.send(topic, [message], wait_ms=rules.tick_ms)
        return outcome

    # In the background

    async def run(self) -> None:
        """Count and catch up once a second, until cancelled. Failures are logged, then retried."""
        async with asyncio.TaskGroup() as group:
            if self._guard is not None:
                group.create_task(self._guard.run())
            group.create_task(self._run_ticks())

    async def _run_ticks(self) -> None:
        while True:
            await self._tick()
            await asyncio.sleep(TICK_SECONDS)

    async def rebuild(self, room: str) -> None:
        """Put the room's state back from the record, under a new epoch, if it is missing."""
        await self._state.restore(room)

    async def republish_live_rooms(self) -> None:
        """Say again what is on record of all live rooms; the bus drops what is not new."""
        await self._news.republish_live_rooms()

    async def close(self) -> None:
        """Send what waits, then stop."""
        await self._shop.close()
        if self._guard is not None:
            await self._guard.close()
        await self._outbox.close()

    async def _tick(self) -> None:
        """Each duty for itself: one that fails does not keep the others from theirs."""
        for duty in (self._news.after_reconnect, self._news.catch_up, self._tell_counts):
            try:
                await duty()
            except Refusal as problem:
                log.warning("rooms: %s; trying again", problem)
            except Exception:
                log.exception("rooms: %s failed", duty.__name__)

    async def _tell_counts(self) -> None:
        for room, totals in await self._counts.tick():
            stats = {"type": "room.stats", "online": totals.online, "likes": totals.likes}
            await self.advise(room, stats)

    async def _tell_held(self, held: Held) -> None:
        """Sender and staff hear that a message waits."""
        event = {"type": "moderation.held", "id": held.id, "text": held.text}
        await self.tell_user(held.user, {**event, "room": held.room, "state": "open"})
        more = {"user": held.user, "name": held.name, "list": held.list}
        await self.tell_console(held.room, {**event, **more, "state": "open"})

    async def _change(
        self, room: str, change: Callable[[Room], Room], event: str, actor: str
    ) -> Room:
        """Record a change of the room object, then tell it. What changes nothing is not told."""
        changed, version = await self._store.change(room, change, at=self._now())
        self._known.remember(room, changed)
        if version is None:
            return changed
        body = {"type": event, "room": msgspec.to_builtins(changed)}
        told = self._news.tell(room, (body, version), actor)
        if event == "room.started":
            await asyncio.gather(self._call_archive(), told)
        else:
            await told
        return changed

    async def _call_archive(self) -> None:
        """Who keeps shows looks for new ones now; it looks by itself too, only not so soon."""
        try:
            message = Message(channel=SHOWS_TOPIC, data=b"{}", numbered=False)
            await self._bus.publish(SHOWS_TOPIC, [message])
        except Unavailable as problem:
            log.warning("the archive was not called: %s", problem)

    async def _tell_staff(self, room: str, event: str, actor: str) -> None:
        await self.tell_console(room, {"type": event, "actor": actor})

    async def _shelf_ids(self, room: str) -> Ids:
        shelf = (await self._store.parts(room)).get("shelf")
        return [] if shelf is None else msgspec.json.decode(shelf.body, type=Ids)


def _title(title: str) -> str:
    return text.clean(title, longest=text.TITLE_LENGTH_MAX, what="The title")


def _merchants(ids: Sequence[str]) -> list[str]:
    if len(ids) > MERCHANTS_MAX or not all(0 < len(one) <= 64 for one in ids):
        raise Invalid(f"At most {MERCHANTS_MAX} merchants, each an id")
    return list(dict.fromkeys(ids))
