"""Bodies of the server API, as Centrifugo's clients send them, and its answers."""

from typing import Annotated

import msgspec
from msgspec import Meta, Raw

from liveserver.control import Status
from liveserver.server_api import Place
from rooms.channels import CHANNEL_LENGTH_MAX

CHANNELS_MAX = 1_000  # of one broadcast
WHITELIST_MAX = 100
REASON_BYTES_MAX = 123  # of a close frame

Channel = Annotated[str, Meta(min_length=1, max_length=CHANNEL_LENGTH_MAX)]
Name = Annotated[str, Meta(min_length=1, max_length=CHANNEL_LENGTH_MAX)]
Offset = Annotated[int, Meta(ge=0, le=2**53 - 1)]


class Command(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A field that is not known is refused: an option must not be lost in silence."""


class Publish(Command, kw_only=True):
    channel: Channel
    data: Raw
    skip_history: bool = False


class Broadcast(Command, kw_only=True):
    channels: Annotated[list[Channel], Meta(min_length=1, max_length=CHANNELS_MAX)]
    data: Raw
    skip_history: bool = False


class OneChannel(Command, kw_only=True):
    channel: Channel


class Since(Command, kw_only=True):
    offset: Offset = 0
    epoch: str = ""


class History(Command, kw_only=True):
    """`limit` 0 asks for the position alone, -1 for everything kept (at most 1,000)."""

    channel: Channel
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


class Disconnect(Command, kw_only=True):
    user: Name
    client: str = ""
    whitelist: Annotated[list[str], Meta(max_length=WHITELIST_MAX)] = []
    disconnect: How | None = None


class Unsubscribe(Command, kw_only=True):
    """Without a channel: from all."""

    user: Name
    channel: Annotated[str, Meta(max_length=CHANNEL_LENGTH_MAX)] = ""
    client: str = ""


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
