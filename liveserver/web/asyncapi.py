"""AsyncAPI 3.0: the channels of the viewer socket, its RPC methods, and the webhooks."""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from liveserver.gateway.options import EMULATION_PATH, HTTP_STREAM_PATH, SSE_PATH
from liveserver.gateway.options import PATH as WEBSOCKET_PATH
from liveserver.rpc import (
    CreateArguments,
    LikeArguments,
    OrderArguments,
    PayArguments,
    ReserveArguments,
    RoomArguments,
    SaleArguments,
)
from liveserver.web.requests.rooms import ShelfItem, Snapshot
from orders.shapes import FlashSale, Order, Place, Product
from orders.webhooks import EVENT_TYPES
from rooms.room import ChatRules, Room

REF = "#/components/schemas/{name}"


class Event(Struct, kw_only=True):
    """Base of all events; `at` is in milliseconds since 1970."""

    at: int


class RoomStarted(Event, kw_only=True):
    type: Literal["room.started"]
    room: Room


class RoomUpdated(Event, kw_only=True):
    type: Literal["room.updated"]
    room: Room


class RoomEnded(Event, kw_only=True):
    type: Literal["room.ended"]
    room: Room


class RoomNotice(Event, kw_only=True):
    type: Literal["room.notice"]
    text: str | None


class ShelfUpdated(Event, kw_only=True):
    type: Literal["shelf.updated"]
    items: list[ShelfItem]


class ShelfPinned(Event, kw_only=True):
    type: Literal["shelf.pinned"]
    product_id: str | None


class SaleUpdated(Event, kw_only=True):
    """Every change of a sale, its stock included; the newest `version` wins."""

    type: Literal["flash_sale.updated"]
    flash_sale: FlashSale


class RehearsalSale(Event, kw_only=True):
    """What a flash sale would look like. It belongs to its `show`, and nobody can buy it."""

    type: Literal["rehearsal.sale"]
    flash_sale: FlashSale | None


class RoomStats(Event, kw_only=True):
    type: Literal["room.stats"]
    online: int
    likes: int


class RulesChanged(Event, kw_only=True):
    type: Literal["chat.rules"]
    slow_mode_seconds: int
    muted_all: bool
    links: bool


class MessageDeleted(Event, kw_only=True):
    """Take the message off the screen; `channel` is that of the chat or of the danmaku."""

    type: Literal["moderation.message_deleted"]
    channel: str
    id: str


class UserMuted(Event, kw_only=True):
    """`until` null: the mute was lifted."""

    type: Literal["moderation.user_muted"]
    user: str
    until: str | None


class UserBanned(Event, kw_only=True):
    """`banned` false: the ban was lifted."""

    type: Literal["moderation.user_banned"]
    user: str
    banned: bool


class YouMuted(Event, kw_only=True):
    """You may not speak in the room; `until` null: you may again."""

    type: Literal["moderation.muted"]
    room: str
    until: str | None
    reason: str


class YouBanned(Event, kw_only=True):
    type: Literal["moderation.banned"]
    room: str
    banned: bool
    reason: str


class YourMessageHeld(Event, kw_only=True):
    """A message of yours waits for staff (`open`), or they have decided."""

    type: Literal["moderation.held"]
    room: str
    id: str
    state: Literal["open", "shown", "refused"]
    text: str | None = None


class YourReportDecided(Event, kw_only=True):
    type: Literal["moderation.report"]
    room: str
    id: str
    state: Literal["upheld", "dismissed"]


class DeletedMessage(Event, kw_only=True):
    """What stands in the history where a deleted message stood."""

    type: Literal["deleted"]
    id: str


class Video(Struct, kw_only=True):
    """The picture of a room; `waiting` while its source is gone and may come back."""

    state: Literal["live", "waiting"]
    whep_url: str
    stream: str
    kinds: list[str]
    codecs: dict[str, str]
    started_at: str


class VideoStarted(Event, kw_only=True):
    """There is a picture, or what is known of it has changed."""

    type: Literal["video.started"]
    video: Video


class VideoStopped(Event, kw_only=True):
    type: Literal["video.stopped"]
    video: Video | None


class VideoQuality(Event, kw_only=True):
    """What the source sends; `lost` packets since the last time."""

    type: Literal["video.quality"]
    kbps: int
    fps: int
    keyframe_seconds: float
    lost: int


class OrderTicker(Event, kw_only=True):
    type: Literal["order.ticker"]
    name: str
    title: str
    quantity: int


class Caption(Event, kw_only=True):
    """What is being said. Advisory; the newest replaces the one before."""

    type: Literal["caption"]
    text: str


class Person(Struct, kw_only=True):
    id: str
    name: str
    badges: list[str]


class ChatMessage(Event, kw_only=True):
    type: Literal["chat"]
    id: str
    user: Person
    text: str
    reply_to: str | None = None


class ChatPublish(Struct, kw_only=True):
    """What a viewer publishes: 1 to 200 characters."""

    text: str
    reply_to: str | None = None


class DanmakuItem(Struct, kw_only=True):
    id: str
    user: Person
    text: str
    mode: Literal["scroll", "top", "bottom"]
    color: str | None
    at: int


class Danmaku(Struct, kw_only=True):
    """`dropped` were left out because nobody could read them all."""

    type: Literal["danmaku"]
    items: list[DanmakuItem]
    dropped: int


class DanmakuPublish(Struct, kw_only=True):
    text: str
    mode: Literal["scroll", "top", "bottom"] = "scroll"
    color: str = "#ffffff"


class ConsoleEvent(Event, kw_only=True):
    """
    What somebody of the staff did; `type` is that of the room's event, or `flash_sale.created`,
    `.edited`, `.cancelled` with the sale and its `title`.
    """

    type: str
    actor: str | None = None
    product_id: str | None = None
    text: str | None = None
    flash_sale: str | None = None
    title: str | None = None
    rehearsal: bool | None = None  # of `room.started` and `room.ended`


class OrderUpdated(Event, kw_only=True):
    type: Literal["order.updated"]
    order: Order


class OrderAnswer(Struct, kw_only=True):
    order: Order


class PlaceAnswer(Struct, kw_only=True):
    place: Place


class OrderData(Struct, kw_only=True):
    order: Order


class SaleData(Struct, kw_only=True):
    flash_sale: FlashSale


class StockData(Struct, kw_only=True):
    """The sale whose units it is about, or the product: one of both."""

    flash_sale: FlashSale | UnsetType = UNSET
    product: Product | UnsetType = UNSET


class RoomData(Struct, kw_only=True):
    room: Room


DATA: dict[str, type[Struct]] = {
    "order": OrderData,
    "stock": StockData,
    "flash_sale": SaleData,
    "room": RoomData,
}

#: server -> (path, protocol, title, description): the ways by which a viewer's messages go
SERVERS = {
    "viewers": (
        WEBSOCKET_PATH,
        "ws",
        "WebSocket",
        "The host and port of the pages; wss under TLS. Messages are JSON objects, several in one "
        "text frame separated by newlines. With the subprotocol centrifuge-protobuf, or "
        "?format=protobuf, they are Protobuf messages in binary frames, each with its length as a "
        "varint before it; the field numbers are those of Centrifuge's client.proto, and payloads "
        "stay JSON. Connections that offer permessage-deflate get compressed frames.",
    ),
    "http_stream": (
        HTTP_STREAM_PATH,
        "http",
        "HTTP streaming",
        "POST, for networks without WebSocket. The body holds the connect command; the response "
        "does not end and has one JSON message a line. With Content-Type application/octet-stream "
        "both are Protobuf with lengths. Further commands go to /emulation.",
    ),
    "sse": (
        SSE_PATH,
        "http",
        "Server-sent events",
        "GET with the connect command in ?cf_connect=, or POST with it as the body; one JSON "
        "message an event. JSON alone. Further commands go to /emulation.",
    ),
    "emulation": (
        EMULATION_PATH,
        "http",
        "Commands of HTTP streaming and server-sent events",
        "POST {node, session, data} with node and session of the connect reply; data holds the "
        "commands. It may reach any worker. 204, and the answers come by the stream; for a session "
        "that is gone it is dropped.",
    ),
}

#: channel -> (address, title, description, what the server sends, what viewers send)
CHANNELS: dict[str, tuple[str, str, str, tuple[type[Struct], ...], tuple[type[Struct], ...]]] = {
    "room": (
        "room:{room}",
        "The state of a room",
        "Numbered events replace one part of the room's state each; the last 1,000 are kept and "
        "recovered. room.stats, order.ticker, video.quality and caption are advisory and not "
        "numbered.",
        (RoomStarted, RoomUpdated, RoomEnded, RoomNotice, ShelfUpdated, ShelfPinned, SaleUpdated,
         RehearsalSale, VideoStarted, VideoStopped, RulesChanged, MessageDeleted, UserMuted,
         UserBanned, RoomStats, OrderTicker, VideoQuality, Caption),
        (),
    ),
    "chat": (
        "chat:{room}",
        "Chat",
        "The last 200 messages are kept and recovered.",
        (ChatMessage, DeletedMessage),
        (ChatPublish,),
    ),
    "danmaku": (
        "danmaku:{room}",
        "Danmaku",
        "Nothing is kept; what is too much is sampled out.",
        (Danmaku,),
        (DanmakuPublish,),
    ),
    "console": (
        "console:{room}",
        "What the staff does",
        "For streamer and moderators of the room and administrators.",
        (ConsoleEvent,),
        (),
    ),
    "personal": (
        "#{user}",
        "News for one person",
        "Only for that user; the server subscribes it by itself.",
        (OrderUpdated, YouMuted, YouBanned, YourMessageHeld, YourReportDecided),
        (),
    ),
}  # fmt: skip

RPC: dict[str, tuple[type[Struct], type[Struct] | None]] = {
    "reserve": (ReserveArguments, OrderAnswer),
    "waitlist.join": (ReserveArguments, PlaceAnswer),
    "waitlist.leave": (SaleArguments, None),
    "order.create": (CreateArguments, OrderAnswer),
    "order.pay": (PayArguments, OrderAnswer),
    "order.cancel": (OrderArguments, OrderAnswer),
    "like": (LikeArguments, None),
    "room.snapshot": (RoomArguments, Snapshot),
}


def asyncapi(version: str) -> dict[str, Any]:
    """The whole document."""
    document = _Document()
    for name in CHANNELS:
        document.add_channel(name)
    for method in RPC:
        document.add_rpc(method)
    document.add_webhooks()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "liveserver: viewer socket and webhooks",
            "version": version,
            "description": (
                "The viewer socket speaks the Centrifuge client protocol v2; any Centrifuge "
                "SDK works. Webhooks follow Standard Webhooks."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {name: _server(*server) for name, server in SERVERS.items()},
        "channels": document.channels,
        "operations": document.operations,
        "components": {
            "messages": document.messages,
            "schemas": _schemas(document.types),
        },
    }


def _server(path: str, protocol: str, title: str, description: str) -> dict[str, Any]:
    return {
        "host": "{host}",
        "pathname": path,
        "protocol": protocol,
        "title": title,
        "description": description,
        "variables": {"host": {"default": "127.0.0.1:8000"}},
    }


class _Document:
    """Collects the parts of the document."""

    def __init__(self) -> None:
        self.types: dict[str, Any] = {"ChatRules": ChatRules}
        self.messages: dict[str, Any] = {}
        self.channels: dict[str, Any] = {}
        self.operations: dict[str, Any] = {}

    def message(self, shape: type[Struct], title: str = "") -> dict[str, str]:
        name = shape.__name__
        self.types[name] = shape
        self.messages[name] = {
            "name": name,
            "title": title or name,
            "summary": " ".join((_own_doc(shape) or title or name).split()),
            "payload": {"$ref": REF.format(name=name)},
        }
        return {"$ref": f"#/components/messages/{name}"}

    def add_channel(self, name: str) -> None:
        address, title, description, sent, received = CHANNELS[name]
        parameter = address.partition("{")[2].rstrip("}")
        self.channels[name] = {
            "address": address,
            "title": title,
            "description": description,
            "messages": {s.__name__: self.message(s) for s in (*sent, *received)},
            "parameters": {parameter: {"description": f"The id of the {parameter}"}},
        }
        self._operation(f"{name}.send", "send", name, sent)
        self._operation(f"{name}.receive", "receive", name, received)

    def add_rpc(self, method: str) -> None:
        asked, answered = RPC[method]
        channel = "rpc_" + method.replace(".", "_")
        shapes = [shape for shape in (asked, answered) if shape is not None]
        self.channels[channel] = {
            "address": method,
            "title": f"RPC {method}",
            "description": "The method of an rpc command, its arguments and its answer.",
            "messages": {shape.__name__: self.message(shape) for shape in shapes},
        }
        self._operation(f"rpc.{method}", "receive", channel, (asked,))
        if answered is not None:
            reply: dict[str, Any] = {
                "channel": {"$ref": f"#/channels/{channel}"},
                "messages": _inside(channel, (answered,)),
            }
            self.operations[f"rpc.{method}"]["reply"] = reply

    def add_webhooks(self) -> None:
        messages = {}
        for kind in EVENT_TYPES:
            data = DATA[kind.partition(".")[0]]
            self.types[data.__name__] = data
            messages[kind.replace(".", "_")] = {
                "name": kind,
                "summary": f"{kind}; headers webhook-id, webhook-timestamp, webhook-signature",
                "headers": _webhook_headers(),
                "payload": _webhook_payload(kind, data.__name__),
            }
        self.channels["webhooks"] = {
            "address": None,
            "title": "Webhooks",
            "description": "POSTed to the merchant's endpoint, signed as Standard Webhooks says.",
            "messages": messages,
        }
        self.operations["webhooks.send"] = {
            "action": "send",
            "channel": {"$ref": "#/channels/webhooks"},
            "summary": "Tell the merchant's server",
        }

    def _operation(
        self, name: str, action: str, channel: str, shapes: tuple[type[Struct], ...]
    ) -> None:
        if shapes:
            self.operations[name] = {
                "action": action,
                "channel": {"$ref": f"#/channels/{channel}"},
                "messages": _inside(channel, shapes),
            }


def _inside(channel: str, shapes: tuple[type[Struct], ...]) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/{channel}/messages/{shape.__name__}"} for shape in shapes]


def _own_doc(shape: type[Struct]) -> str:
    return str(shape.__dict__.get("__doc__") or "")


def _webhook_headers() -> dict[str, Any]:
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    return {
        "type": "object",
        "properties": {name: {"type": "string"} for name in names},
        "required": list(names),
    }


def _webhook_payload(kind: str, data: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "type": {"const": kind},
            "timestamp": {"type": "string", "format": "date-time"},
            "data": {"$ref": REF.format(name=data)},
        },
        "required": ["type", "timestamp", "data"],
    }


def _schemas(types: dict[str, Any]) -> dict[str, Any]:
    _, components = msgspec.json.schema_components(list(types.values()), ref_template=REF)
    return components
