"""The ways to write one frame to many viewers: each promises the same, over real sockets."""

import errno
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from liveserver.gateway.ring import FRAME_BYTES, SENDS, Ring, RingWriter, writer
from rooms.fanout import WriteMany, write_all, write_each
from rooms.frames import JSON_TEXT

SMALL_BUFFER = 4_096  # bytes asked of the system; it takes a little more


@dataclass(eq=False)
class Viewer:
    """A viewer with a real socket, which notes what is left of its frames."""

    ours: socket.socket
    theirs: socket.socket
    direct: bool = True
    rest: list[bytes] = field(default_factory=list)
    ended: bool = False
    variant = JSON_TEXT

    @property
    def fd(self) -> int:
        return self.ours.fileno()

    def write(self, frame: bytes) -> None:
        try:
            taken = os.write(self.fd, frame)
        except BlockingIOError:
            taken = 0
        except OSError as error:
            taken = -(error.errno or 0)
        if taken != len(frame):
            self.wrote(frame, taken)

    def wrote(self, frame: bytes, result: int) -> None:
        if result in (-errno.EAGAIN, 0):
            self.rest.append(frame)
        elif result < 0:
            self.failed()
        else:
            self.rest.append(frame[result:])

    def queue(self, frame: bytes, lean: bytes) -> None:
        self.rest.append(frame)

    def lost(self, channel: str) -> None:
        raise AssertionError(channel)

    def failed(self) -> None:
        self.ended = True

    def had(self) -> bytes:
        """Everything that has come."""
        self.theirs.setblocking(False)
        found = b""
        while True:
            try:
                part = self.theirs.recv(1 << 20)
            except BlockingIOError:
                return found
            if not part:
                return found
            found += part


Crowd = Callable[[int], list[Viewer]]


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    sockets: list[socket.socket] = []

    def make(count: int) -> list[Viewer]:
        found = []
        for _ in range(count):
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            sockets.extend((ours, theirs))
            found.append(Viewer(ours, theirs))
        return found

    yield make
    for one in sockets:
        one.close()


def ring_writer() -> WriteMany:
    try:
        return RingWriter(Ring())
    except OSError as problem:
        pytest.skip(f"this system has no io_uring: {problem}")


@pytest.fixture(params=["one by one", "io_uring"])
def write_many(request: pytest.FixtureRequest) -> WriteMany:
    return write_each if request.param == "one by one" else ring_writer()


@pytest.mark.parametrize("count", [1, 7, 8, 300])
def test_everyone_has_every_frame_once_and_in_order(
    write_many: WriteMany, crowd: Crowd, count: int
) -> None:
    """More frames than a ring has places, of different lengths."""
    viewers = crowd(count)
    frames = [b"<%d>" % n + b"x" * (n % 50) for n in range(40)]
    for frame in frames:
        write_all(viewers, frame, b"", write_many)
    assert {viewer.had() for viewer in viewers} == {b"".join(frames)}
    assert not any(viewer.rest or viewer.ended for viewer in viewers)


def test_a_slice_larger_than_a_ring_and_a_frame_larger_than_its_place_arrive(
    write_many: WriteMany, crowd: Crowd
) -> None:
    """The same sockets again and again make the crowd; the long frame is read while it comes."""
    viewers = crowd(100)
    many = viewers * (SENDS // 100 + 2)
    write_all(many, b"frame", b"", write_many)
    assert {viewer.had() for viewer in viewers} == {b"frame" * (len(many) // 100)}
    long = b"y" * (FRAME_BYTES + 1)
    write_all(viewers[:9], long, b"", write_many)
    for viewer in viewers[:9]:
        assert viewer.had() + b"".join(viewer.rest) == long


def test_who_reads_nothing_keeps_the_rest_and_delays_nobody(
    write_many: WriteMany, crowd: Crowd
) -> None:
    """What the system does not take, in part or at all, is neither lost nor sent twice."""
    viewers = crowd(20)
    slow = viewers[3]
    slow.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
    frame, given = bytes(range(256)) * 16, 0
    for _ in range(8):
        reached = [viewer for viewer in viewers if not viewer.rest]
        given += slow in reached
        write_all(reached, frame, b"", write_many)
    assert len(slow.rest) == 1 and slow.had() + slow.rest[0] == frame * given
    assert all(viewer.had() == frame * 8 for viewer in viewers if viewer is not slow)


def test_who_is_gone_is_ended_and_the_others_have_their_frame(
    write_many: WriteMany, crowd: Crowd
) -> None:
    """A broken pipe is told to its viewer alone."""
    viewers = crowd(20)
    viewers[5].theirs.close()
    write_all(viewers, b"frame", b"", write_many)
    assert [viewer.ended for viewer in viewers].count(True) == 1 and viewers[5].ended
    assert all(viewer.had() == b"frame" for viewer in viewers if viewer is not viewers[5])


def test_who_is_behind_is_queued(write_many: WriteMany, crowd: Crowd) -> None:
    """Their frames stand behind what waits for them, and are not written past it."""
    viewers = crowd(20)
    for viewer in viewers[::2]:
        viewer.direct = False
    write_all(viewers, b"frame", b"", write_many)
    assert all(viewer.rest == [b"frame"] and viewer.had() == b"" for viewer in viewers[::2])
    assert all(viewer.rest == [] and viewer.had() == b"frame" for viewer in viewers[1::2])


def test_a_ring_that_fails_ends_its_viewers_and_is_not_used_again(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows who had the frame, so all come back and recover; later frames go one by one."""
    write = ring_writer()

    def broken(*_: object) -> list[int]:
        raise OSError(errno.ENOMEM, "no memory")

    monkeypatch.setattr(Ring, "send", broken)
    viewers, after, others = crowd(20), crowd(20), crowd(20)
    full = (viewers * SENDS)[:SENDS]
    write_all(full + after, b"frame", b"", write)
    assert all(viewer.ended for viewer in viewers)
    assert all(viewer.had() == b"frame" and not viewer.ended for viewer in after)
    write_all(others, b"frame", b"", write)
    assert all(viewer.had() == b"frame" and not viewer.ended for viewer in others)


def test_where_the_system_forbids_it_frames_go_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As containers do: EPERM."""

    def forbidden(_: Ring) -> None:
        raise OSError(errno.EPERM, "io_uring_setup")

    monkeypatch.setattr(Ring, "__init__", forbidden)
    assert writer() is write_each


def test_a_kernel_that_knows_rings_but_not_our_request_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would end every viewer with each frame."""
    ring_writer()
    monkeypatch.setattr(Ring, "send", lambda *_: [-errno.EINVAL])
    assert writer() is write_each
    monkeypatch.undo()
    assert isinstance(writer(), RingWriter)
