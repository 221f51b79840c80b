"""What viewers say and throw, on its way to the bus."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from rooms import channels, chat, danmaku
from rooms.bus import Message, Outcome
from rooms.errors import Refusal, TooFast
from rooms.guard_service import Guard, Passed
from rooms.outbox_service import Outbox, settle
from rooms.reports import Held
from rooms.room import Speaker


class Talk:
    """Chat and danmaku of rooms that exist. `now` gives integer milliseconds."""

    def __init__(
        self,
        outbox: Outbox,
        guard: Guard | None,
        *,
        now: Callable[[], int],
        new_id: Callable[[str], str],
        on_held: Callable[[Held], Awaitable[None]],
    ) -> None:
        """`on_held` is awaited for each message that waits for staff instead of going out."""
        self._outbox = outbox
        self._guard = guard
        self._now = now
        self._new_id = new_id
        self._on_held = on_held
        self.drops: Counter[str] = Counter(sampled=0, chat_cap=0)  # for the metrics
        self._sampled_out: dict[str, int] = {}  # room -> danmaku since the last that passed

    async def say(
        self, room: str, speaker: Speaker, info: bytes, data: bytes, *, staff: bool
    ) -> Outcome:
        """
        Publish a line of chat; returns when it is numbered, or queued for staff.

        Raises:
            Invalid, Forbidden, TooFast: Refused; the sender keeps the text.
        """
        line = chat.read(data)
        passed = await self._admit(room, speaker, line.text, staff)
        return await self._say(room, speaker, info, line, passed)

    def begin(
        self,
        room: str,
        speaker: Speaker,
        info: bytes,
        data: bytes,
        done: Callable[[Outcome | Exception], None],
        *,
        staff: bool,
    ) -> Awaitable[Outcome] | None:
        """`say` where nothing but the bus has to wait: None if `done` will be called, else wait."""
        line = chat.read(data)
        passed = self._admit_at_once(room, speaker, line.text, staff)
        if passed is None:
            return self.say(room, speaker, info, data, staff=staff)
        if passed.held:
            return self._say(room, speaker, info, line, passed)
        self._post(room, speaker, info, line, passed, done)
        return None

    async def _say(
        self, room: str, speaker: Speaker, info: bytes, line: chat.Line, passed: Passed
    ) -> Outcome:
        if passed.held:
            id, event = self._event(speaker, line, passed)
            try:
                await self._hold(room, f"chat:{room}", id, speaker, passed, event, info)
            except Refusal:
                self._take_back(room, speaker, passed)
                raise
            return Outcome()
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._post(room, speaker, info, line, passed, partial(settle, answer))
        return await answer

    def _event(self, speaker: Speaker, line: chat.Line, passed: Passed) -> tuple[str, bytes]:
        id = self._new_id("msg")
        return id, chat.event(id, speaker, line, self._now(), passed.text)

    def _post(
        self,
        room: str,
        speaker: Speaker,
        info: bytes,
        line: chat.Line,
        passed: Passed,
        done: Callable[[Outcome | Exception], None],
    ) -> None:
        """Number a line that may go out; `done` gets its outcome or what it is refused with."""

        _, event = self._event(speaker, line, passed)
        message = Message(
            channel=f"chat:{room}",
            data=event,
            info=info,
            history_size=channels.CHAT.history_size,
            history_ttl_seconds=channels.CHAT.history_ttl_seconds,
            capped=not speaker.badges,
        )
        judged = partial(self._judged, room, speaker, passed, done)
        try:
            self._outbox.post(room, [message], judged, wait_ms=channels.CHAT.tick_ms)
        except Refusal:
            self._take_back(room, speaker, passed)
            raise

    def _judged(
        self,
        room: str,
        speaker: Speaker,
        passed: Passed,
        done: Callable[[Outcome | Exception], None],
        result: list[Outcome] | Exception,
    ) -> None:
        """The bus has an answer to a line: its number, or why nobody gets it."""
        if not isinstance(result, Exception):
            [outcome] = result
            if not outcome.dropped:
                done(outcome)
                return
            self.drops["chat_cap"] += 1
            wait = "Everybody is talking at once; try again in a moment"
            result = TooFast(wait, reason="busy")
        self._take_back(room, speaker, passed)
        done(result)

    async def throw(
        self, room: str, speaker: Speaker, info: bytes, data: bytes, *, staff: bool
    ) -> bytes | None:
        """
        Throw danmaku. None if everybody gets it; if it was sampled out, the publication's data,
        to be shown to its sender alone.
        """
        shot = danmaku.read(data)
        passed = await self._admit(room, speaker, shot.text, staff)
        shot = msgspec.structs.replace(shot, text=passed.text)
        id, channel = self._new_id("dmk"), f"danmaku:{room}"
        if passed.held:
            event = danmaku.event(id, speaker, shot, self._now(), 0)
            await self._hold(room, channel, id, speaker, passed, event, info)
            return None
        missed = self._sampled_out.pop(room, 0)
        event = danmaku.event(id, speaker, shot, self._now(), missed)
        message = Message(
            channel=channel,
            data=event,
            info=info,
            numbered=False,
            droppable=not speaker.badges,
        )
        try:
            [outcome] = await self._outbox.send(room, [message], wait_ms=channels.DANMAKU.tick_ms)
        except Refusal:
            self._count_sampled_out(room, missed)
            self._take_back(room, speaker, passed)
            raise
        if not outcome.dropped:
            return None
        self.drops["sampled"] += 1
        self._count_sampled_out(room, missed + 1)
        return event

    async def _admit(self, room: str, speaker: Speaker, text: str, staff: bool) -> Passed:
        passed = self._admit_at_once(room, speaker, text, staff)
        if passed is None:
            assert self._guard is not None, "only the guard has something to read"
            passed = await self._guard.admit(room, speaker, text)
        return passed

    def _admit_at_once(self, room: str, speaker: Speaker, text: str, staff: bool) -> Passed | None:
        """The text as it may be shown; None: not known yet. Staff of the room are not asked."""
        if staff or self._guard is None:
            return Passed(text)
        return self._guard.admit_at_once(room, speaker, text)

    def _take_back(self, room: str, speaker: Speaker, passed: Passed) -> None:
        if passed.key and self._guard is not None:
            self._guard.take_back(room, speaker, passed)

    async def _hold(
        self,
        room: str,
        channel: str,
        id: str,
        speaker: Speaker,
        passed: Passed,
        event: bytes,
        info: bytes,
    ) -> None:
        assert self._guard is not None, "only the guard holds messages"
        held = Held(
            id=id, room=room, channel=channel, user=speaker.id, name=speaker.name,
            text=passed.text, list=passed.held, data=event, info=info, at=self._now(),
        )  # fmt: skip
        await self._guard.hold(held)
        await self._on_held(held)

    def _count_sampled_out(self, room: str, count: int) -> None:
        if count:
            self._sampled_out[room] = self._sampled_out.get(room, 0) + count
