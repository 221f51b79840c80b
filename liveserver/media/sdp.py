"""
Session descriptions (RFC 8866) as WHIP and WHEP use them: read an offer, write the answer. Pure.

The reader takes what real clients send (attributes at session or media level, no candidates, no
`ice-options`) and refuses in words what cannot work.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from liveserver.media.codecs import Codec

OFFER_BYTES_MAX = 64 * 1024  # browsers send 5 to 15 kB
LINES_MAX = 4_000
SECTIONS_MAX = 16
CODECS_MAX = 200  # of one section
PROFILE = "UDP/TLS/RTP/SAVPF"
HASHES = {"sha-256", "sha-384", "sha-512"}  # what fingerprints are taken with
ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"

Setup = Literal["active", "passive", "actpass"]
Direction = Literal["sendonly", "recvonly", "sendrecv", "inactive"]
DIRECTIONS = ("sendonly", "recvonly", "sendrecv", "inactive")

#: channels are not written for video and are 1 when absent
CLOCKS = {"0": ("pcmu", 8000), "8": ("pcma", 8000), "9": ("g722", 8000)}


class SdpError(ValueError):
    """The description cannot be taken; the message says why in words."""


class Ice(msgspec.Struct, frozen=True):
    """The credentials of one side (RFC 8839)."""

    ufrag: str
    password: str


class Media(msgspec.Struct, kw_only=True):
    """One media section."""

    kind: str
    mid: str
    direction: Direction = "sendrecv"
    rejected: bool = False  # port 0 and outside of the bundle
    codecs: list[Codec] = []
    extensions: dict[str, int] = {}  # URI -> id
    mux_only: bool = False


class Offer(msgspec.Struct, kw_only=True):
    """An offer whose sections all share one transport."""

    ice: Ice
    fingerprints: list[tuple[str, str]]  # (hash, value)
    setup: Setup
    medias: list[Media]

    def of(self, kind: str) -> Media | None:
        """The first usable section of a kind."""
        return next((one for one in self.medias if one.kind == kind and not one.rejected), None)


class Track(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer says of one section: `codec` None refuses it; `ssrc` None sends nothing."""

    codec: Codec | None
    direction: Direction = "inactive"
    ssrc: int | None = None
    extensions: dict[str, int] = {}
    feedback: tuple[str, ...] = ()


Lines = list[str]


def parse_offer(text: str) -> Offer:
    """Raises SdpError."""
    if len(text) > OFFER_BYTES_MAX:
        raise SdpError("The offer is too long")
    lines = [line.strip() for line in text.replace("\r\n", "\n").split("\n")]
    if not lines or lines[0] != "v=0" or len(lines) > LINES_MAX:
        raise SdpError("This is no session description: it begins with v=0")
    session, sections = _split(lines)
    if not sections:
        raise SdpError("The offer has no media")
    medias = [_media(section) for section in sections]
    transport = next((s for s, m in zip(sections, medias, strict=True) if not m.rejected), None)
    if transport is None:
        raise SdpError("All media of the offer are switched off")
    mids = [media.mid for media in medias]
    if len(set(mids)) < len(mids):
        raise SdpError("Each media section needs a mid of its own")
    _check_bundle(session, medias)
    both = transport + session  # an attribute of the section wins
    return Offer(
        ice=_ice(both), fingerprints=_fingerprints(both), setup=_setup(both), medias=medias
    )


def parse_fragment(text: str) -> Ice | None:
    """
    The credentials of a trickle fragment (RFC 8840); its candidates are not needed here. None where
    it names none. Raises SdpError.
    """
    if len(text) > OFFER_BYTES_MAX:
        raise SdpError("The fragment is too long")
    lines = [line.strip() for line in text.splitlines()]
    if not any(line.startswith("a=") for line in lines):
        raise SdpError("This is no fragment of a session description")
    return _ice(lines) if _value(lines, "ice-ufrag") is not None else None


def _split(lines: Lines) -> tuple[Lines, list[Lines]]:
    session: Lines = []
    sections: list[Lines] = []
    for line in lines:
        if line.startswith("m="):
            sections.append([line])
        else:
            (sections[-1] if sections else session).append(line)
    if len(sections) > SECTIONS_MAX:
        raise SdpError("The offer has too many media sections")
    return session, sections


def _value(lines: Iterable[str], name: str) -> str | None:
    """The value of the first `a=name:value`; "" for a bare `a=name`."""
    for line in lines:
        if line == f"a={name}":
            return ""
        if line.startswith(f"a={name}:"):
            return line[len(name) + 3 :].strip()
    return None


def _values(lines: Iterable[str], name: str) -> list[str]:
    return [line[len(name) + 3 :].strip() for line in lines if line.startswith(f"a={name}:")]


def _token(value: str | None, longest: int) -> str:
    """A value that is written into answers: nothing that could break a line."""
    if not value or len(value) > longest or not value.isascii() or not value.isprintable():
        raise SdpError("A value of the offer is missing, too long or not printable")
    return value


def _ice(lines: Lines) -> Ice:
    ufrag, password = _value(lines, "ice-ufrag"), _value(lines, "ice-pwd")
    if not ufrag or not password:
        raise SdpError("ice-ufrag and ice-pwd are missing")
    return Ice(_token(ufrag, 256), _token(password, 256))


def _fingerprints(lines: Lines) -> list[tuple[str, str]]:
    found = []
    for value in _values(lines, "fingerprint"):
        name, _, digits = value.partition(" ")
        if name.lower() in HASHES:
            found.append((name.lower(), digits.strip().upper()))
    if not found:
        raise SdpError("A fingerprint by SHA-256, SHA-384 or SHA-512 is missing")
    return found


def _setup(lines: Lines) -> Setup:
    value = _value(lines, "setup") or "actpass"
    if value not in ("active", "passive", "actpass"):
        raise SdpError(f"setup:{value[:20]} cannot be answered")
    return value  # type: ignore[return-value]  # one of the three


def _check_bundle(session: Lines, medias: list[Media]) -> None:
    wanted = {media.mid for media in medias if not media.rejected}
    if len(wanted) < 2:
        return
    groups = [set(value.split()[1:]) for value in _values(session, "group") if "BUNDLE" in value]
    if not any(wanted <= group for group in groups):
        raise SdpError("All media have to share one transport (a=group:BUNDLE)")


def _media(lines: Lines) -> Media:
    head = lines[0][2:].split()
    if len(head) < 4 or not head[1].isdigit():
        raise SdpError("A media section has no valid m= line")
    kind = _token(head[0], 32)
    media = Media(kind=kind, mid=_token(_value(lines, "mid") or kind, 64))
    media.rejected = head[1] == "0" and _value(lines, "bundle-only") is None
    media.mux_only = _value(lines, "rtcp-mux-only") is not None
    for direction in DIRECTIONS:
        if f"a={direction}" in lines:
            media.direction = direction  # type: ignore[assignment]  # one of the four
    if kind in ("audio", "video"):
        media.codecs = _codecs(lines, head[3:])
        media.extensions = _extensions(lines)
    return media


def _codecs(lines: Lines, formats: list[str]) -> list[Codec]:
    names = dict(value.partition(" ")[::2] for value in _values(lines, "rtpmap"))
    fmtp = dict(value.partition(" ")[::2] for value in _values(lines, "fmtp"))
    feedback: dict[str, list[str]] = {}
    for value in _values(lines, "rtcp-fb"):
        number, _, what = value.partition(" ")
        feedback.setdefault(number, []).append(what.strip())
    everywhere = feedback.get("*", [])
    codecs = []
    for number in formats[:CODECS_MAX]:
        if not number.isdigit() or int(number) > 127:
            raise SdpError("A payload type is a number from 0 to 127")
        codec = _codec(number, names.get(number), fmtp.get(number, ""))
        if codec is not None:
            said = tuple(feedback.get(number, []) + everywhere)
            codecs.append(msgspec.structs.replace(codec, feedback=said))
    return codecs


def _codec(number: str, rtpmap: str | None, fmtp: str) -> Codec | None:
    if rtpmap is None:
        if number not in CLOCKS:
            return None
        name, clock = CLOCKS[number]
        return Codec(payload_type=int(number), name=name, clock=clock)
    name, _, rest = rtpmap.strip().partition("/")
    rate, _, channels = rest.partition("/")
    fine = rate.isdigit() and 0 < int(rate) <= 1_000_000 and channels in ("", *"12345678")
    if not fine or len(fmtp) > 1_000 or not (fmtp.isascii() and (not fmtp or fmtp.isprintable())):
        raise SdpError("A codec of the offer is not written as RFC 8866 says")
    return Codec(
        payload_type=int(number),
        name=_token(name, 32).lower(),
        clock=int(rate),
        channels=int(channels or 1),
        fmtp=fmtp.strip(),
    )


def _extensions(lines: Lines) -> dict[str, int]:
    found = {}
    for value in _values(lines, "extmap"):
        number, _, uri = value.partition(" ")
        digits = number.partition("/")[0]
        if digits.isdigit() and 1 <= int(digits) <= 14:  # one-byte headers
            found[uri.partition(" ")[0]] = int(digits)
    return found


class Answerer(msgspec.Struct, frozen=True, kw_only=True):
    """What is the same in all answers of one session."""

    ice: Ice
    fingerprint: tuple[str, str]
    setup: Setup
    addresses: Sequence[str]  # announced, one candidate each
    port: int
    session: str  # digits


#: how names are written in answers; codecs are compared in small letters
SPELLING = {"h264": "H264", "h265": "H265", "vp8": "VP8", "vp9": "VP9", "av1": "AV1"}


def write_answer(offer: Offer, tracks: Sequence[Track], us: Answerer) -> str:
    """The answer; `tracks` stand in the order of the offer's sections."""
    mids = [m.mid for m, t in zip(offer.medias, tracks, strict=True) if t.codec is not None]
    lines = [
        "v=0",
        f"o=- {us.session} 1 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE " + " ".join(mids),
        "a=msid-semantic: WMS live",
        "a=ice-lite",
    ]
    first = True
    for media, track in zip(offer.medias, tracks, strict=True):
        lines += _section(media, track, us, with_candidates=first and track.codec is not None)
        first = first and track.codec is None
    return "\r\n".join(lines) + "\r\n"


def write_fragment(us: Answerer, mid: str) -> str:
    """The answer to an ICE restart (RFC 8840)."""
    lines = ["a=ice-lite", *_ice_lines(us), f"m=audio {us.port} {PROFILE} 0", f"a=mid:{mid}"]
    return "\r\n".join([*lines, *_candidates(us)]) + "\r\n"


def _ice_lines(us: Answerer) -> Lines:
    return [f"a=ice-ufrag:{us.ice.ufrag}", f"a=ice-pwd:{us.ice.password}"]


def _candidates(us: Answerer) -> Lines:
    """One host candidate for each announced address (RFC 8839, 5.1), the first preferred."""
    lines = []
    for n, address in enumerate(us.addresses):
        priority = (126 << 24) | ((65_535 - n) << 8) | 255
        lines.append(f"a=candidate:{n + 1} 1 udp {priority} {address} {us.port} typ host")
    return [*lines, "a=end-of-candidates"]


def _section(media: Media, track: Track, us: Answerer, *, with_candidates: bool) -> Lines:
    codec = track.codec
    if codec is None:
        proto = PROFILE if media.kind in ("audio", "video") else "UDP/DTLS/SCTP"
        fmt = "0" if proto == PROFILE else "webrtc-datachannel"
        head = f"m={media.kind} 0 {proto} {fmt}"
        return [head, "c=IN IP4 0.0.0.0", "a=inactive", f"a=mid:{media.mid}"]
    address = us.addresses[0]
    version = 6 if ":" in address else 4
    number = codec.payload_type
    lines = [
        f"m={media.kind} {us.port} {PROFILE} {number}",
        f"c=IN IP{version} {address}",
        f"a=mid:{media.mid}",
        f"a={track.direction}",
        *_ice_lines(us),
        f"a=fingerprint:{us.fingerprint[0]} {us.fingerprint[1]}",
        f"a=setup:{us.setup}",
        "a=rtcp-mux",
        *(["a=rtcp-mux-only"] if media.mux_only else []),
        *(f"a=extmap:{number} {uri}" for uri, number in track.extensions.items()),
        f"a=rtpmap:{number} {_rtpmap(codec, media.kind)}",
        *([f"a=fmtp:{number} {codec.fmtp}"] if codec.fmtp else []),
        *(f"a=rtcp-fb:{number} {what}" for what in track.feedback),
    ]
    if track.ssrc is not None:
        stream = f"live {media.kind}"
        lines += [f"a=msid:{stream}", f"a=ssrc:{track.ssrc} cname:live"]
        lines.append(f"a=ssrc:{track.ssrc} msid:{stream}")
    return lines + (_candidates(us) if with_candidates else [])


def _rtpmap(codec: Codec, kind: str) -> str:
    name = SPELLING.get(codec.name, codec.name)
    channels = f"/{codec.channels}" if kind == "audio" and codec.channels > 1 else ""
    return f"{name}/{codec.clock}{channels}"
