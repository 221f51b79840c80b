"""
The rooms that have a picture: who publishes, who watches, and what the room is told of it.

One publisher a room. The same credential replaces its own stream; another gets `Taken` while that
one is sending. A publisher that fell silent leaves its viewers connected, so that the picture goes
on for them the moment it is back, from whatever device.
"""

import logging
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

from aiortc import RTCCertificate

from liveserver.media import codecs
from liveserver.media.codecs import Codec
from liveserver.media.mux import Mux
from liveserver.media.outlet import Forwarder
from liveserver.media.publisher import Publisher, Stream
from liveserver.media.sdp import (
    ABS_SEND_TIME,
    Answerer,
    Media,
    Offer,
    SdpError,
    parse_fragment,
    parse_offer,
    write_answer,
    write_fragment,
)
from liveserver.media.sdp import Track as Answered
from liveserver.media.session import Session
from liveserver.media.track import Track
from liveserver.media.viewer import Viewer, Watched
from rooms.times import rfc3339

log = logging.getLogger(__name__)

PENDING_MAX = 1_000  # sessions that were answered and have not arrived; some kB each
SESSIONS_MAX = 10_000  # of one process; its core is full long before
WAITING_SECONDS = 600.0  # a host that is away for longer is not expected back soon
JOINS_PER_SECOND = 60.0  # handshakes; each takes some milliseconds of the core
JOINS_BURST = 200.0
LOAD_SECONDS = 1.0  # over which the load is measured
RETRY_SECONDS = 2  # what who is refused for load or for want of a publisher is told

VIDEO_FEEDBACK = ("nack", "nack pli", "ccm fir")
Now = Callable[[], float]
Report = Callable[[str, dict[str, Any] | None], None]


class Refusal(Exception):
    """Base: `status` of HTTP and a sentence."""

    status = 400
    retry_after: int | None = None


class Unfit(Refusal):
    """The description is well-formed, but nothing can come of it."""

    status = 422


class Broken(Refusal):
    """No description at all."""


class Taken(Refusal):
    """Another credential is sending."""

    status = 409


class NoPicture(Refusal):
    """Nobody is sending."""

    status = 409
    retry_after = RETRY_SECONDS


class Full(Refusal):
    """No more right now."""

    status = 503
    retry_after = RETRY_SECONDS


class Gone(Refusal):
    """There is no such session."""

    status = 404


class Mismatch(Refusal):
    """If-Match names another state of the session."""

    status = 412


class Broadcast:
    """The picture of one room. `stream` changes when viewers have to connect anew."""

    def __init__(self, room: str) -> None:
        self.room = room
        self.stream = secrets.token_hex(8)
        self.tracks: dict[str, Track] = {}
        self.publisher: Publisher | None = None
        self.credential = ""
        self.viewers: set[Viewer] = set()
        self.live = False
        self.started_ms = 0
        self.away_at = 0.0
        self.measured: dict[str, int] = {}

    def want_keyframe(self) -> None:
        if self.publisher is not None:
            self.publisher.ask_keyframe()

    def value(self) -> dict[str, Any]:
        """The part `video` of the room's state."""
        return {
            "state": "live" if self.live else "waiting",
            "whep_url": f"/whep/{self.room}",
            "stream": self.stream,
            "kinds": sorted(self.tracks),
            "codecs": {kind: track.codec.name for kind, track in sorted(self.tracks.items())},
            "started_at": rfc3339(self.started_ms),
        }


class Stage:
    """
    Args:
        mux: The UDP port, open.
        addresses: What peers are told to send to, one candidate each.
        load_mark: Part of one core above which nobody new is let in.
        report: Hears every change of a room's picture; None when there is none any more.
    """

    def __init__(
        self,
        mux: Mux,
        forwarder: Forwarder,
        addresses: Sequence[str],
        *,
        load_mark: float,
        report: Report,
        now: Now = time.monotonic,
        now_ms: Callable[[], int],
    ) -> None:
        self.mux = mux
        self.forwarder = forwarder
        self.load_mark = load_mark
        self.load = 0.0  # part of one core
        self.broadcasts: dict[str, Broadcast] = {}
        self.sessions: dict[str, Session] = {}
        self.rooms: dict[str, Broadcast] = {}  # by session
        self._certificate = RTCCertificate.generateCertificate()
        self._fingerprint = _fingerprint(self._certificate)
        self._addresses = addresses
        self._report = report
        self._now = now
        self._now_ms = now_ms
        self._pending = 0
        self._joins = (JOINS_BURST, now())
        self._used = (time.process_time(), now())

    # Signalling

    def publish(self, room: str, credential: str, text: str, *, weak: bool = False) -> "Answer":
        """
        A publisher's offer. `weak`: any other publisher may take its place.

        Raises:
            Refusal: In words.
        """
        offer = _read(text)
        media = _of_publisher(offer)
        chosen = {one.kind: _asked_of(one) for one in media}
        broadcast = self.broadcasts.get(room)
        if broadcast is not None and not self._may_replace(broadcast, credential, weak):
            raise Taken("Another source is sending to this room")
        self._admit(viewer=False)
        broadcast = broadcast or self.broadcasts.setdefault(room, Broadcast(room))
        old = broadcast.publisher
        broadcast.publisher = None
        if old is not None:
            old.end("replaced")
        streams = self._streams(broadcast, media, chosen)
        broadcast.credential = "" if weak else credential
        publisher = Publisher(
            offer,
            self._certificate,
            self._now,
            self._on_over,
            streams=streams,
            forwarder=self.forwarder,
            estimates=any("goog-remb" in codec.feedback for codec in chosen.values()),
        )
        publisher.on_media = lambda: self._on_media(broadcast)
        publisher.on_report = lambda track, report: _pass_report(broadcast, track, report)
        broadcast.publisher = publisher
        self._add(publisher, broadcast)
        return self._answer(publisher, offer, [_received(one, chosen) for one in offer.medias])

    def watch(self, room: str, text: str) -> "Answer":
        """A viewer's offer. Raises Refusal."""
        offer = _read(text)
        broadcast = self.broadcasts.get(room)
        if broadcast is None or not broadcast.tracks or not broadcast.started_ms:
            raise NoPicture("Nobody is sending to this room right now")
        answered: list[Answered] = []
        watched: list[Watched] = []
        for media in offer.medias:
            track = broadcast.tracks.get(media.kind)
            codec = _wanted_by(media, track, [one for one, _ in watched])
            if track is None or codec is None:
                answered.append(Answered(codec=None))
                continue
            watched.append((track, codec.payload_type))
            feedback = _both(codec, VIDEO_FEEDBACK if media.kind == "video" else ("nack",))
            answered.append(
                Answered(codec=codec, direction="sendonly", ssrc=track.ssrc, feedback=feedback)
            )
        if not watched or ("video" in broadcast.tracks) > ("video" in {t.kind for t, _ in watched}):
            names = ", ".join(sorted(track.codec.name for track in broadcast.tracks.values()))
            raise Unfit(f"The offer has to receive what is sent here: {names}")
        self._admit(viewer=True)
        viewer = Viewer(
            offer,
            self._certificate,
            self._now,
            self._on_over,
            watched=watched,
            forwarder=self.forwarder,
            want_keyframe=broadcast.want_keyframe,
        )
        broadcast.viewers.add(viewer)
        self._add(viewer, broadcast)
        return self._answer(viewer, offer, answered)

    def trickle(self, room: str, session: str, if_match: str | None, text: str) -> "Answer | None":
        """
        A trickle fragment: None where nothing has to be answered, else the ICE restart's answer.

        Candidates are not needed: an ICE-lite agent answers whoever signs with its password.
        """
        found = self.find(room, session)
        if if_match not in (None, "*", '"*"', found.etag):
            raise Mismatch("The session has changed since")
        try:
            ice = parse_fragment(text)
        except SdpError as error:
            raise Broken(str(error)) from None
        if ice is None or ice == found.remote:
            return None
        self.mux.forget_older(found)
        found.restart(ice)
        self.mux.add(found)
        return Answer(found, write_fragment(self._answerer(found), "0"))

    def leave(self, room: str, session: str) -> None:
        """The end of a session by who began it. Raises Gone."""
        found = self.find(room, session)
        self._end_for_good(found, self.rooms[found.id], "deleted")

    def find(self, room: str, session: str) -> Session:
        """Raises Gone."""
        found, broadcast = self.sessions.get(session), self.rooms.get(session)
        if found is None or broadcast is None or broadcast.room != room:
            raise Gone("There is no such session any more")
        return found

    def drop(self, room: str, credential: str) -> None:
        """A credential was withdrawn: what it sends ends."""
        broadcast = self.broadcasts.get(room)
        if broadcast and broadcast.publisher and broadcast.credential == credential:
            self._end_for_good(broadcast.publisher, broadcast, "its key was withdrawn")

    # Time

    def tick(self) -> None:
        """Once a second: sessions without a sign of life, silent publishers, reports, the load."""
        now = self._now()
        used, at = self._used
        self._used = (time.process_time(), now)
        if now > at:
            self.load = (self._used[0] - used) / (now - at)
        for session in list(self.sessions.values()):
            reason = session.why_over(now)
            if reason is not None:
                session.end(reason)
            else:
                session.on_tick(now)
        self._pending = sum(not session.connected for session in self.sessions.values())
        for broadcast in list(self.broadcasts.values()):
            self._look_after(broadcast, now)

    def flush(self) -> None:
        """Twenty times a second: ask publishers for what is missing."""
        now = self._now()
        for broadcast in self.broadcasts.values():
            if broadcast.publisher is not None and broadcast.publisher.connected:
                broadcast.publisher.flush_requests(now)

    def close(self) -> None:
        for session in list(self.sessions.values()):
            session.end("the server stops")

    # Small parts

    def _end_for_good(self, session: Session, broadcast: Broadcast, reason: str) -> None:
        """A publisher that ends so is not expected back."""
        if broadcast.publisher is session:
            broadcast.publisher = None
            self._close(broadcast)
        session.end(reason)

    def _may_replace(self, broadcast: Broadcast, credential: str, weak: bool) -> bool:
        """Nobody's place, its own, that of a weak one, or of one that stopped sending."""
        if broadcast.publisher is None:
            return True
        if broadcast.credential in ("", credential) and not (weak and broadcast.credential):
            return True
        publisher = broadcast.publisher
        return not weak and publisher is not None and publisher.is_away

    def _admit(self, *, viewer: bool) -> None:
        """Raises Full."""
        if not self.mux.sockets:
            raise Full("Video is off: its UDP port is taken")
        if self._pending >= PENDING_MAX or len(self.sessions) >= SESSIONS_MAX:
            raise Full("Too many are coming at once")
        if not viewer:
            return
        if self.load > self.load_mark:
            raise Full("The server has as many viewers as it can serve")
        now = self._now()
        left, at = self._joins
        left = min(JOINS_BURST, left + (now - at) * JOINS_PER_SECOND)
        if left < 1:
            raise Full("Too many are coming at once")
        self._joins = (left - 1, now)

    def _streams(
        self, broadcast: Broadcast, medias: list[Media], chosen: dict[str, Codec]
    ) -> dict[int, Stream]:
        """The tracks that a publisher feeds: those of before where their codecs still fit."""
        old = broadcast.tracks
        if not all(kind in old and codecs.fits(old[kind].codec, c) for kind, c in chosen.items()):
            broadcast.tracks = {
                kind: Track(kind, codec, secrets.randbits(31) + 1) for kind, codec in chosen.items()
            }
            broadcast.stream = secrets.token_hex(8)
            broadcast.live = False
            broadcast.started_ms = 0
            for viewer in list(broadcast.viewers):
                viewer.end("the stream has changed")
        return {
            chosen[media.kind].payload_type: Stream(
                broadcast.tracks[media.kind], media.extensions.get(ABS_SEND_TIME)
            )
            for media in medias
        }

    def _add(self, session: Session, broadcast: Broadcast) -> None:
        self.sessions[session.id] = session
        self.rooms[session.id] = broadcast
        self._pending += 1
        self.mux.add(session)

    def _answer(self, session: Session, offer: Offer, tracks: list[Answered]) -> "Answer":
        return Answer(session, write_answer(offer, tracks, self._answerer(session)))

    def _answerer(self, session: Session) -> Answerer:
        return Answerer(
            ice=session.ice,
            fingerprint=self._fingerprint,
            setup=session.setup,
            addresses=self._addresses,
            port=self.mux.port,
            session=str(secrets.randbits(62)),
        )

    def _on_media(self, broadcast: Broadcast) -> None:
        if not broadcast.live:
            broadcast.live = True
            broadcast.started_ms = broadcast.started_ms or self._now_ms()
            self._report(broadcast.room, broadcast.value())

    def _on_over(self, session: Session, reason: str) -> None:
        self.mux.remove(session)
        self.sessions.pop(session.id, None)
        broadcast = self.rooms.pop(session.id, None)
        if isinstance(session, Viewer):
            session.let_go()
            if broadcast is not None:
                broadcast.viewers.discard(session)
            return
        if broadcast is not None and broadcast.publisher is session:
            broadcast.publisher = None
            log.info("the publisher of %s is gone: %s", broadcast.room, reason)
            self._wait(broadcast)

    def _wait(self, broadcast: Broadcast) -> None:
        """The publisher is away, and expected back."""
        if not broadcast.started_ms:
            if broadcast.publisher is None:
                self._close(broadcast)
            return
        if broadcast.live:
            broadcast.live = False
            broadcast.away_at = self._now()
            self._report(broadcast.room, broadcast.value())

    def _close(self, broadcast: Broadcast) -> None:
        """There is no picture any more."""
        if self.broadcasts.get(broadcast.room) is broadcast:
            del self.broadcasts[broadcast.room]
            if broadcast.started_ms:
                self._report(broadcast.room, None)
        for viewer in list(broadcast.viewers):
            viewer.end("the picture has ended")

    def _look_after(self, broadcast: Broadcast, now: float) -> None:
        publisher = broadcast.publisher
        if publisher is not None and publisher.is_away and not publisher.silent:
            publisher.silent = True
            self._wait(broadcast)
        waits = not broadcast.live and broadcast.started_ms > 0
        if waits and now - broadcast.away_at > WAITING_SECONDS:
            self._close(broadcast)


class Answer:
    """What a session answers to: its description, and what HTTP says of it."""

    def __init__(self, session: Session, text: str) -> None:
        self.session = session.id
        self.etag = session.etag
        self.text = text


def _fingerprint(certificate: RTCCertificate) -> tuple[str, str]:
    one = next(one for one in certificate.getFingerprints() if one.algorithm == "sha-256")
    return one.algorithm, one.value


def _read(text: str) -> Offer:
    try:
        return parse_offer(text)
    except SdpError as error:
        raise Broken(str(error)) from None


def _of_publisher(offer: Offer) -> list[Media]:
    """At most one section of each kind, all of which send."""
    media = [one for one in offer.medias if not one.rejected]
    kinds = [one.kind for one in media]
    if not set(kinds) <= {"audio", "video"} or len(set(kinds)) < len(kinds):
        raise Unfit("Send at most one picture and one sound")
    if any(one.direction not in ("sendonly", "sendrecv") for one in media):
        raise Unfit("Every section of the offer has to send (a=sendonly)")
    return media


def _asked_of(media: Media) -> Codec:
    codec = codecs.choose(media.codecs)
    if codec is None:
        raise Unfit(f"The section {media.kind} offers no codec")
    return codec


def _received(media: Media, chosen: dict[str, Codec]) -> Answered:
    """The answer to one section of a publisher."""
    codec = None if media.rejected else chosen.get(media.kind)
    if codec is None:
        return Answered(codec=None)
    ours = ("goog-remb", *VIDEO_FEEDBACK) if media.kind == "video" else ("goog-remb", "nack")
    extensions = {uri: n for uri, n in media.extensions.items() if uri == ABS_SEND_TIME}
    return Answered(
        codec=codec, direction="recvonly", extensions=extensions, feedback=_both(codec, ours)
    )


def _both(codec: Codec, ours: Sequence[str]) -> tuple[str, ...]:
    return tuple(what for what in ours if what in codec.feedback)


def _wanted_by(media: Media, track: Track | None, taken: list[Track]) -> Codec | None:
    """The viewer's codec for a track; None where this section gets nothing."""
    if track is None or media.rejected or track in taken:
        return None
    if media.direction not in ("recvonly", "sendrecv"):
        return None
    return codecs.best(track.codec, media.codecs)


def _pass_report(broadcast: Broadcast, track: Track, report: bytes) -> None:
    for viewer in broadcast.viewers:
        if any(track is one for one, _ in viewer.watched):
            viewer.send_rtcp(report)
