"""Video: what a streamer's program is told."""

from msgspec import Struct


class StreamKey(Struct, kw_only=True):
    """`key` is shown this once. `rtmp_url` is null: this server takes WHIP."""

    key: str
    whip_url: str
    rtmp_url: str | None
