"""
Who may speak, asked before every message: what is on record, kept here and never out of date.

A worker reads a room's rules, sanctions and word lists once, before the first message that it takes
for the room. A change is told to all workers over the bus, and the next message waits until it has
been read; news that the bus lost are made up for by reading again every few seconds. Without the
database the last reading holds, so that chat goes on.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable

import msgspec

from rooms import words
from rooms.alike import Alike
from rooms.buckets import Buckets
from rooms.bus import Bus, Delivery, Message
from rooms.errors import Invalid, NotFound, Refusal, Unavailable
from rooms.folding import Folding
from rooms.links import has_link
from rooms.moderation import (
    Standing,
    check_may_speak,
    slow_mode_wait,
    wait,
)
from rooms.moderation_store import SERVER, ModerationStore
from rooms.reports import Held
from rooms.room import Speaker
from rooms.words import Filter

TOPIC = "\x1fmoderation"  # no room and no channel can have this name
READ_AGAIN_MS = 5_000  # for what the bus lost
RETRY_MS = 1_000  # after the database did not answer
ATTACH_SECONDS = 1.0  # between two attempts to hear of changes
ROOMS_MAX = 5_000  # rooms remembered; the oldest reading goes
SPEAKERS_MAX = 20_000  # last words of one room, for slow mode

log = logging.getLogger(__name__)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one person may do on one worker. `repeats`: whether repeated texts are refused."""

    messages: int = 5  # at once, chat and danmaku together
    message_ms: int = 1_000  # for one more; nobody types faster for long
    likes: int = 20  # calls at once; pages sum up the taps of half a second
    like_ms: int = 250
    repeats: bool = True


UNLIMITED = Limits(messages=1_000_000, message_ms=1, likes=1_000_000, like_ms=1, repeats=False)


class Passed(msgspec.Struct, frozen=True, gc=False):
    """A message that may go out. `held` names the word list that holds it, if one does."""

    text: str
    key: str = ""
    held: str = ""
    spoke_before: int | None = None


class _Known(msgspec.Struct):
    """One room as last read, and what was said in it here."""

    standing: Standing
    filters: tuple[Filter, ...]
    read_at: int
    stale: bool = False
    alike: Alike = msgspec.field(default_factory=Alike)
    spoke: dict[str, int] = {}  # user -> when; slow mode counts from before it began
    names: dict[str, bool] = {}  # name -> whether the word lists let it pass


class _Changed(msgspec.Struct):
    scope: str


class _Line(msgspec.Struct):
    """Who said something, in a chat or danmaku publication."""

    user: "_Who | None" = None
    items: list["_Line"] = []


class _Who(msgspec.Struct):
    id: str = ""


_LINE = msgspec.json.Decoder(_Line)


class Guard:
    """The rules of all rooms on one worker. `now` is in milliseconds."""

    def __init__(
        self,
        bus: Bus,
        store: ModerationStore,
        folding: Folding,
        *,
        now: Callable[[], int],
        limits: Limits | None = None,
    ) -> None:
        limits = limits or Limits()
        self.folding = folding
        self.refused: Counter[str] = Counter()  # reason -> messages, for the metrics
        self._bus = bus
        self._store = store
        self._now = now
        self._limits = limits
        self._messages = Buckets(burst=limits.messages, interval_ms=limits.message_ms)
        self._likes = Buckets(burst=limits.likes, interval_ms=limits.like_ms)
        self._rooms: dict[str, _Known] = {}
        self._filters: dict[str, tuple[str, Filter]] = {}  # scope -> (revision, its lists)
        self._changes: Counter[str] = Counter()  # room -> changes heard of
        self._reading: dict[str, asyncio.Task[_Known]] = {}
        bus.on_delivery(self._deliver)
        bus.on_reconnect(self.forget)

    # --- asked for every message ---------------------------------------------------------------

    async def admit(self, room: str, speaker: Speaker, text: str) -> Passed:
        """
        The text as it may be shown. What does not go out after all has to be taken back.

        Raises:
            Forbidden, Invalid, TooFast: With a `reason` of `rooms.moderation`.
            NotFound, Unavailable.
        """
        known = self._current(room, self._now()) or await self._read(room)
        return self._judge(known, speaker, text, self._now())

    def admit_at_once(self, room: str, speaker: Speaker, text: str) -> Passed | None:
        """`admit` where nothing has to be read; else None."""
        now = self._now()
        known = self._current(room, now)
        return None if known is None else self._judge(known, speaker, text, now)

    def take_back(self, room: str, speaker: Speaker, passed: Passed) -> None:
        """The message did not go out: it counts neither for slow mode nor as said."""
        known = self._rooms.get(room)
        if known is None:
            return
        known.alike.forget(speaker.id, passed.key)
        if passed.spoke_before is None:
            known.spoke.pop(speaker.id, None)
        else:
            known.spoke[speaker.id] = passed.spoke_before

    async def like(self, room: str, user: str) -> None:
        """Return if the user may like. Raises Forbidden, TooFast."""
        known = self._current(room, self._now()) or await self._read(room)
        if user in known.standing.bans:
            check_may_speak(known.standing, user, self._now())
        if wait_ms := self._likes.take(user, self._now()):
            raise wait("Too many likes", "too-fast", wait_ms)

    async def hold(self, held: Held) -> None:
        """Keep a message until staff have seen it. Raises TooFast, Unavailable."""
        await self._store.hold(held)

    def _current(self, room: str, now: int) -> _Known | None:
        """The room as last read, if that reading still does; an old one is renewed meanwhile."""
        known = self._rooms.get(room)
        if known is None or known.stale:
            return None
        if now - known.read_at > READ_AGAIN_MS:
            self._begin_reading(room)
        return known

    def _judge(self, known: _Known, speaker: Speaker, text: str, now: int) -> Passed:
        try:
            return self._check(known, speaker, text, now)
        except Refusal as refusal:
            self.refused[str(refusal.facts.get("reason"))] += 1
            raise

    def _check(self, known: _Known, speaker: Speaker, text: str, now: int) -> Passed:
        user, rules = speaker.id, known.standing.rules
        check_may_speak(known.standing, user, now)
        spoke = known.spoke.get(user)
        if wait_ms := slow_mode_wait(rules, spoke, now):
            raise wait("Slow mode is on", "slow-mode", wait_ms)
        if wait_ms := self._messages.take(user, now):
            raise wait("You write too fast", "too-fast", wait_ms)
        if not rules.links and has_link(text):
            raise Invalid("Links are switched off in this room", reason="link")
        key, held = self.folding.key(text), ""
        if known.filters:
            self._check_name(known, speaker.name)
            found = words.judge(known.filters, text, key)
            if found.action == "refuse":
                raise Invalid("The text holds a word that is not allowed here", reason="word")
            text, held = found.text, found.list if found.action == "hold" else ""
        if self._limits.repeats and (again := known.alike.again(user, key, now)):
            detail = "You have just said that" if again == "repeated" else "Many just said that"
            raise wait(detail, again, 10_000)
        self._spoke(known, user, now)
        return Passed(text, key, held, spoke)

    def _check_name(self, known: _Known, name: str) -> None:
        """A name is read with every message, so the lists hold for names too."""
        fine = known.names.get(name)
        if fine is None:
            found = words.judge(known.filters, name, self.folding.key(name))
            if len(known.names) >= SPEAKERS_MAX:
                known.names.clear()
            fine = known.names[name] = found.action == "pass"
        if not fine:
            raise Invalid("Your name holds a word that is not allowed here", reason="name")

    def _spoke(self, known: _Known, user: str, now: int) -> None:
        if len(known.spoke) >= SPEAKERS_MAX:
            over = now - known.standing.rules.slow_mode_seconds * 1000
            known.spoke = {one: at for one, at in known.spoke.items() if at > over}
        known.spoke[user] = now

    async def close(self) -> None:
        """Leave readings that are under way."""
        under_way = list(self._reading.values())
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    # --- keeping up with what is on record -----------------------------------------------------

    async def changed(self, scope: str) -> None:
        """Something of a room (`""`: of all) changed: tell every worker, this one first."""
        self.forget(scope)
        data = msgspec.json.encode(_Changed(scope))
        await self._bus.publish(TOPIC, [Message(channel=TOPIC, data=data, numbered=False)])

    def forget(self, scope: str = SERVER) -> None:
        """The next message of the room (or of any) waits until it has been read again."""
        for room in {*self._rooms, *self._reading} if scope == SERVER else {scope}:
            if room in self._reading:
                self._changes[room] += 1
            if known := self._rooms.get(room):
                known.stale = True

    async def run(self) -> None:
        """Hear of changes, until cancelled."""
        while True:
            try:
                await self._bus.attach(TOPIC)
                break
            except Unavailable as problem:
                log.warning("moderation: %s; trying again", problem)
                await asyncio.sleep(ATTACH_SECONDS)
        self.forget()  # what changed before this worker could hear of it
        await asyncio.Event().wait()

    def _deliver(self, delivery: Delivery) -> None:
        if delivery.topic == TOPIC:
            for publication in delivery.publications:
                self.forget(msgspec.json.decode(publication.data, type=_Changed).scope)
            return
        known = self._rooms.get(delivery.topic)
        if known is not None and known.standing.rules.slow_mode_seconds:
            self._note_speakers(known, delivery)

    def _note_speakers(self, known: _Known, delivery: Delivery) -> None:
        """Slow mode holds for a person, not for a worker: whoever changes workers waits as well."""
        now = self._now()
        for publication in delivery.publications:
            if publication.channel.startswith(("chat:", "danmaku:")):
                line = _LINE.decode(publication.data)
                for one in line.items or (line,):
                    if one.user is not None and known.spoke.get(one.user.id, 0) < now - 1_000:
                        self._spoke(known, one.user.id, now)

    async def _read(self, room: str) -> _Known:
        return await asyncio.shield(self._begin_reading(room))

    def _begin_reading(self, room: str) -> asyncio.Task[_Known]:
        """The reading of the room that is under way."""
        task = self._reading.get(room)
        if task is None:
            task = self._reading[room] = asyncio.create_task(self._read_once(room))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task

    async def _read_once(self, room: str) -> _Known:
        try:
            return await self._read_until_current(room)
        except Unavailable:
            known = self._rooms.get(room)
            if known is None:
                raise
            log.warning("moderation of %s: the database does not answer, the last rules hold", room)
            known.stale, known.read_at = False, self._now() - READ_AGAIN_MS + RETRY_MS
            return known
        finally:
            del self._reading[room]
            self._changes.pop(room, None)

    async def _read_until_current(self, room: str) -> _Known:
        """Read until nothing changed meanwhile."""
        while True:
            heard = self._changes[room]
            now = self._now()
            found = await self._store.on_record(room, now)
            if found is None:
                self._rooms.pop(room, None)
                raise NotFound(f"There is no room {room}")
            filters = [
                await self._filter(scope, revision) for scope, revision in found.revisions.items()
            ]
            if self._changes[room] == heard:
                break
        standing = Standing(found.rules, found.mutes, found.bans)
        return self._remember(room, standing, tuple(filters), now)

    def _remember(
        self, room: str, standing: Standing, filters: tuple[Filter, ...], now: int
    ) -> _Known:
        known = self._rooms.get(room)
        if known is None:
            if len(self._rooms) >= ROOMS_MAX:
                del self._rooms[min(self._rooms, key=lambda name: self._rooms[name].read_at)]
            known = self._rooms[room] = _Known(standing, filters, now)
        if known.filters != filters:
            known.names.clear()
        known.standing, known.filters, known.read_at, known.stale = standing, filters, now, False
        return known

    async def _filter(self, scope: str, revision: str) -> Filter:
        """The lists of a scope, built once for all rooms and in a thread: many words take long."""
        kept = self._filters.get(scope)
        if kept is not None and kept[0] == revision:
            return kept[1]
        found = await self._store.lists(scope)
        built = await asyncio.to_thread(Filter, found.lists, self.folding)
        self._filters[scope] = (found.revision, built)
        return built
