"""Bodies of the server API, as Centrifugo's clients send them, and its answers."""

from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta, Raw

from liveserver.control import Status
from liveserver.server_api import Place
from rooms.channels import CHANNEL_LENGTH_MAX

CHANNELS_MAX = 1_000  # of one broadcast
WHITELIST_MAX = 100
KEY_LENGTH_MAX = 255
COMMANDS_MAX = 1_000  # of one batch
REASON_BYTES_MAX = 123  # of a close frame

Channel = Annotated[str, Meta(min_length=1, max_length=CHANNEL_LENGTH_MAX)]
Needed = Annotated[str, Meta(max_length=CHANNEL_LENGTH_MAX)]  # left out or empty: error 107
Offset = Annotated[int, Meta(ge=0, le=2**53 - 1)]


class Command(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """
    A field that is not known is refused: an option must not be lost in silence. Without one of
    `needs` the answer is error 107 with status 200, as Centrifugo's.
    """

    needs: ClassVar[tuple[str, ...]] = ()


class Payload(Command, kw_only=True):
    """
    What is published: `data`, or JSON in base64 as `b64data`. `tags` and `delta` are taken and have
    no effect: nothing filters by tags, and the namespace decides about differences.
    """

    data: Raw = msgspec.field(default_factory=Raw)
    b64data: str = ""
    skip_history: bool = False
    idempotency_key: Annotated[str, Meta(max_length=KEY_LENGTH_MAX)] = ""
    tags: dict[str, str] | None = None
    delta: bool = False


class Publish(Payload, kw_only=True):
    needs: ClassVar = ("channel",)

    channel: Needed = ""


class Broadcast(Payload, kw_only=True):
    needs: ClassVar = ("channels",)

    channels: Annotated[list[Channel], Meta(max_length=CHANNELS_MAX)] = []


class OneChannel(Command, kw_only=True):
    needs: ClassVar = ("channel",)

    channel: Needed = ""


class Since(Command, kw_only=True):
    offset: Offset = 0
    epoch: str = ""


class History(Command, kw_only=True):
    """
    `limit` 0 asks for the position alone, -1 for everything kept (at most 1,000, and 512 kB
    together: the next page is asked for with `since`).
    """

    needs: ClassVar = ("channel",)

    channel: Needed = ""
    limit: Annotated[int, Meta(ge=-1, le=2**31 - 1)] = 0
    since: Since | None = None
    reverse: bool = False


class Channels(Command, kw_only=True):
    """`pattern` may hold `*`, `?` and `[…]`; empty: all."""

    pattern: Annotated[str, Meta(max_length=CHANNEL_LENGTH_MAX)] = ""


class Info(Command, kw_only=True):
    pass


class How(Command, kw_only=True):
    """Close code and reason; below 3500 and from 4000 to 4499 clients come back."""

    code: Annotated[int, Meta(ge=3000, le=4999)] = 3503
    reason: Annotated[str, Meta(min_length=1, max_length=REASON_BYTES_MAX)] = "force disconnect"


class Whom(Command, kw_only=True):
    """Connections of a user; `client` or `session` (of a stream) narrow them to one."""

    needs: ClassVar[tuple[str, ...]] = ("user",)

    user: Needed = ""
    client: str = ""
    session: str = ""


class Disconnect(Whom, kw_only=True):
    whitelist: Annotated[list[str], Meta(max_length=WHITELIST_MAX)] = []
    disconnect: How | None = None


class Subscribe(Whom, kw_only=True):
    """
    `info` is what others see of the client in the channel, `data` what it is told; either may come
    as JSON in base64. With `recover_since` it also gets what followed on that position.
    """

    needs: ClassVar = ("user", "channel")

    channel: Needed = ""
    info: Raw = msgspec.field(default_factory=Raw)
    b64info: str = ""
    data: Raw = msgspec.field(default_factory=Raw)
    b64data: str = ""
    recover_since: Since | None = None


class Unsubscribe(Whom, kw_only=True):
    """Without a channel: from all."""

    channel: Annotated[str, Meta(max_length=CHANNEL_LENGTH_MAX)] = ""


class Refresh(Whom, kw_only=True):
    """`expire_at` in seconds of Unix time, 0: never; `expired`: now, and the client comes back."""

    expired: bool = False
    expire_at: Annotated[int, Meta(ge=0, le=2**53 - 1)] = 0


class Step(Command, kw_only=True):
    """One command of a batch: exactly one field."""

    publish: Publish | None = None
    broadcast: Broadcast | None = None
    presence: OneChannel | None = None
    presence_stats: OneChannel | None = None
    history: History | None = None
    history_remove: OneChannel | None = None
    channels: Channels | None = None
    info: Info | None = None
    disconnect: Disconnect | None = None
    subscribe: Subscribe | None = None
    unsubscribe: Unsubscribe | None = None
    refresh: Refresh | None = None


class Batch(Command, kw_only=True):
    """`parallel`: in no order."""

    commands: Annotated[list[Step], Meta(max_length=COMMANDS_MAX)]
    parallel: bool = False


# --- answers: `result`, or `error` with a number of the viewer socket ------------------------


class ApiError(msgspec.Struct):
    code: int
    message: str


class Answer(msgspec.Struct, kw_only=True, omit_defaults=True):
    error: ApiError | None = None


class Nothing(msgspec.Struct):
    pass


class Done(Answer, kw_only=True, omit_defaults=True):
    result: Nothing | None = None


class Published(Answer, kw_only=True, omit_defaults=True):
    result: Place | None = None


class Responses(msgspec.Struct):
    responses: list[Published]


class Broadcasted(Answer, kw_only=True, omit_defaults=True):
    result: Responses | None = None


class BatchAnswer(msgspec.Struct):
    """For each command its result under its name, or `{"error": …}`."""

    replies: list[dict[str, Any]]


class PresenceResult(msgspec.Struct):
    presence: dict[str, Raw]


class PresenceAnswer(Answer, kw_only=True, omit_defaults=True):
    result: PresenceResult | None = None


class StatsResult(msgspec.Struct):
    num_clients: int
    num_users: int


class StatsAnswer(Answer, kw_only=True, omit_defaults=True):
    result: StatsResult | None = None


class HistoryResult(msgspec.Struct):
    publications: list[Raw]
    epoch: str
    offset: int


class HistoryAnswer(Answer, kw_only=True, omit_defaults=True):
    result: HistoryResult | None = None


class ChannelInfo(msgspec.Struct):
    num_clients: int


class ChannelsResult(msgspec.Struct):
    channels: dict[str, ChannelInfo]


class ChannelsAnswer(Answer, kw_only=True, omit_defaults=True):
    result: ChannelsResult | None = None


class InfoResult(msgspec.Struct):
    nodes: list[Status]


class InfoAnswer(Answer, kw_only=True, omit_defaults=True):
    result: InfoResult | None = None
