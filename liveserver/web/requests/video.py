"""Video: what a streamer's program is told."""

from msgspec import Struct


class StreamKey(Struct, kw_only=True):
    """`key` is shown this once. `rtmp_url` is null: this server takes WHIP."""

    key: str
    whip_url: str
    rtmp_url: str | None


class Uplink(Struct, kw_only=True):
    """How many bytes came, and when; the sender measures how long it took."""

    received: int
    server_time: int


class HookTest(Struct, kw_only=True):
    """How the test event to one endpoint of the room's merchants went."""

    merchant: str
    endpoint: str
    state: str  # "pending", "delivered" or "failed"


class HookTests(Struct, kw_only=True):
    items: list[HookTest]
