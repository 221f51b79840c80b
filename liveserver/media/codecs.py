"""
What has to be known of codecs without decoding: which of them fit together, and where a picture
begins that needs no earlier one. Pure.
"""

from collections.abc import Callable, Iterable, Mapping

import msgspec

HOUSE_VIDEO, HOUSE_AUDIO = "h264", "opus"
#: they are not a picture or sound of their own, and are not needed: lost packets are sent again
HELPERS = frozenset({"rtx", "red", "ulpfec", "flexfec-03", "cn", "telephone-event"})


class Codec(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an SDP media section. `name` in small letters, `fmtp` as written."""

    payload_type: int
    name: str
    clock: int
    channels: int = 1
    fmtp: str = ""
    feedback: tuple[str, ...] = ()

    @property
    def parameters(self) -> dict[str, str]:
        pairs = (part.partition("=") for part in self.fmtp.split(";"))
        return {name.strip().lower(): value.strip() for name, _, value in pairs if name.strip()}


#: parameters that have to be equal, with what counts where one is absent
_EQUAL: Mapping[str, tuple[tuple[str, str], ...]] = {
    "h264": (("packetization-mode", "0"),),
    "vp9": (("profile-id", "0"),),
    "av1": (("profile", "0"),),
    "h265": (("profile-id", "1"), ("tx-mode", "srst")),
}


def fits(sent: Codec, wanted: Codec) -> bool:
    """
    Whether what is sent as `sent` can be played as `wanted`. H.264 profiles are not compared here:
    decoders take higher ones than they are named with; `best` prefers the equal one.
    """
    same = (sent.name, sent.clock, sent.channels) == (wanted.name, wanted.clock, wanted.channels)
    ours, theirs = sent.parameters, wanted.parameters
    return same and all(
        ours.get(name, usual) == theirs.get(name, usual)
        for name, usual in _EQUAL.get(sent.name, ())
    )


def best(sent: Codec, offered: Iterable[Codec]) -> Codec | None:
    """The offered codec to send `sent` as: the nearest profile first, then the offer's order."""
    fitting = [codec for codec in offered if fits(sent, codec)]
    profile = _profile(sent)
    fitting.sort(key=lambda codec: _distance(profile, _profile(codec)))
    return fitting[0] if fitting else None


def choose(offered: Iterable[Codec]) -> Codec | None:
    """
    The codec to ask a publisher for: the house's if it has it, in the profile that most devices
    play; else what it likes best.
    """
    usable = [codec for codec in offered if codec.name not in HELPERS]
    house = [codec for codec in usable if codec.name in (HOUSE_VIDEO, HOUSE_AUDIO)]
    if house and house[0].name == HOUSE_VIDEO:
        whole = [codec for codec in house if codec.parameters.get("packetization-mode") == "1"]
        house = sorted(whole or house, key=lambda codec: _distance("42e0", _profile(codec)))
    return next(iter(house or usable), None)


def _profile(codec: Codec) -> str:
    return codec.parameters.get("profile-level-id", "42e01f")[:4].lower()


def _distance(one: str, other: str) -> int:
    return 0 if one == other else 1 if one[:2] == other[:2] else 2


# Keyframes: each function gets a payload and says whether it begins a picture on its own.


def _h264(payload: bytes) -> bool:
    """SPS or IDR, alone, in a STAP-A, or at the start of an FU-A (RFC 6184)."""
    kind = payload[0] & 0x1F
    if kind == 28:
        return len(payload) > 1 and payload[1] & 0x80 != 0 and payload[1] & 0x1F == 5
    if kind != 24:
        return kind in (5, 7)
    at = 1
    while at + 2 < len(payload):
        if payload[at + 2] & 0x1F in (5, 7):
            return True
        at += 2 + int.from_bytes(payload[at : at + 2], "big")
    return False


def _h265(payload: bytes) -> bool:
    """Parameter sets or an IRAP picture, alone, aggregated or at the start of an FU (RFC 7798)."""
    if len(payload) < 3:
        return False
    kind = payload[0] >> 1 & 0x3F
    if kind == 49:
        return payload[2] & 0x80 != 0 and 16 <= payload[2] & 0x3F <= 23
    if kind == 48 and len(payload) > 4:
        kind = payload[4] >> 1 & 0x3F
    return 16 <= kind <= 23 or 32 <= kind <= 34


def _vp8(payload: bytes) -> bool:
    """The start of partition 0 of a key picture (RFC 7741, 4.2 and 4.3)."""
    if payload[0] & 0x17 != 0x10:
        return False
    at = 1
    if payload[0] & 0x80 and len(payload) > 1:
        more = payload[1]
        at = 2 + bool(more & 0x40) + bool(more & 0x30)
        if more & 0x80:
            at += 2 if len(payload) > 2 and payload[2] & 0x80 else 1
    return len(payload) > at and payload[at] & 1 == 0


def _vp9(payload: bytes) -> bool:
    """A beginning (B) that is not predicted from another picture (P), of the lowest layer."""
    first = payload[0]
    if first & 0x48 != 0x08:
        return False
    if not first & 0x20:
        return True
    at = 1
    if first & 0x80 and len(payload) > 1:
        at += 2 if payload[1] & 0x80 else 1
    return len(payload) > at and payload[at] & 0x0E == 0


def _av1(payload: bytes) -> bool:
    """N: the first packet of a coded video sequence (RTP payload format for AV1, 4.4)."""
    return payload[0] & 0x08 != 0


_KEYFRAME: Mapping[str, Callable[[bytes], bool]] = {
    "h264": _h264,
    "h265": _h265,
    "vp8": _vp8,
    "vp9": _vp9,
    "av1": _av1,
}


def begins_keyframe(codec: str, payload: bytes) -> bool:
    """Whether a viewer can start with this payload. Of a codec not known here: any packet."""
    if not payload:
        return False
    test = _KEYFRAME.get(codec)
    return test is None or test(payload)
