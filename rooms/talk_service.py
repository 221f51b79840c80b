"""What viewers say and throw, on its way to the bus."""

from collections import Counter
from collections.abc import Callable

from rooms import channels, chat, danmaku
from rooms.bus import Message, Outcome
from rooms.errors import Refusal, TooFast
from rooms.outbox_service import Outbox
from rooms.room import Speaker
from rooms.state_service import numbered


class Talk:
    """Chat and danmaku of rooms that exist. `now` gives integer milliseconds."""

    def __init__(
        self, outbox: Outbox, *, now: Callable[[], int], new_id: Callable[[str], str]
    ) -> None:
        self._outbox = outbox
        self._now = now
        self._new_id = new_id
        self.drops: Counter[str] = Counter(sampled=0, chat_cap=0)  # for the metrics
        self._sampled_out: dict[str, int] = {}  # room -> danmaku since the last that passed

    async def say(self, room: str, speaker: Speaker, info: bytes, data: bytes) -> Outcome:
        """Publish a line of chat; returns when it is numbered. Raises Invalid, TooFast."""
        line = chat.read(data)
        event = chat.event(self._new_id("msg"), speaker, line, self._now())
        message = numbered(f"chat:{room}", event, info=info, capped=not speaker.badges)
        [outcome] = await self._outbox.send(room, [message], wait_ms=channels.CHAT.tick_ms)
        if outcome.dropped:
            self.drops["chat_cap"] += 1
            raise TooFast("Everybody is talking at once; try again in a moment")
        return outcome

    async def throw(self, room: str, speaker: Speaker, info: bytes, data: bytes) -> bytes | None:
        """
        Throw danmaku. None if everybody gets it; if it was sampled out, the publication's data,
        to be shown to its sender alone.
        """
        shot = danmaku.read(data)
        missed = self._sampled_out.pop(room, 0)
        event = danmaku.event(self._new_id("dmk"), speaker, shot, self._now(), missed)
        message = Message(
            channel=f"danmaku:{room}",
            data=event,
            info=info,
            numbered=False,
            droppable=not speaker.badges,
        )
        try:
            [outcome] = await self._outbox.send(room, [message], wait_ms=channels.DANMAKU.tick_ms)
        except Refusal:
            self._count_sampled_out(room, missed)
            raise
        if not outcome.dropped:
            return None
        self.drops["sampled"] += 1
        self._count_sampled_out(room, missed + 1)
        return event

    def _count_sampled_out(self, room: str, count: int) -> None:
        if count:
            self._sampled_out[room] = self._sampled_out.get(room, 0) + count
