"""
One frame to many sockets by one system call: Linux io_uring (`man 7 io_uring`).

A ring of ready requests lies in memory that the kernel shares. They are all the same `send` of the
same bytes; a call puts in the sockets' numbers and lets the kernel do them all. None of them waits
(MSG_DONTWAIT), so all results are there when the call returns.
"""

import ctypes
import errno
import logging
import mmap
import os
import socket
import struct
import sys
from array import array
from collections.abc import Sequence

from rooms.audience import Viewer
from rooms.fanout import WriteMany, write_each

SENDS = 1024  # in one call; a power of two. A hub's slice has 1,000 viewers
WORTH_IT = 8  # viewers: for fewer the way there costs more than it spares
FRAME_BYTES = 1024 * 1024  # longer frames go one by one: each is work enough

SETUP, ENTER = 425, 426  # numbers of the system calls, the same on all of our architectures
SQ_RING_AT, SQES_AT = 0, 0x10000000  # what is mapped where (linux/io_uring.h)
PARAMS = struct.Struct("II112x")  # struct io_uring_params: entries asked for, then the answer
ENTRIES, SQ_OFFSETS, CQ_OFFSETS = struct.Struct("II"), struct.Struct("7I"), struct.Struct("6I")
SQE = struct.Struct("BBHiQQIIQ24x")  # struct io_uring_sqe
SQE_INTS, FD_INT, LENGTH_INT = 16, 1, 6  # its size and two of its fields, in integers of 32 bits
CQE_INTS, RESULT_INT = 4, 2  # the same of struct io_uring_cqe
SEND = 26  # IORING_OP_SEND
FLAGS = 0x4040  # MSG_DONTWAIT | MSG_NOSIGNAL

log = logging.getLogger(__name__)


class Ring:
    """A ring of sends. Raises OSError where the system has none, or forbids it."""

    def __init__(self) -> None:
        if sys.platform != "linux":
            raise OSError(errno.ENOSYS, "io_uring is Linux's")
        self._syscall = ctypes.CDLL(None, use_errno=True).syscall
        self._syscall.restype = ctypes.c_long
        params = ctypes.create_string_buffer(PARAMS.pack(SENDS, 0), PARAMS.size)
        self._fd = self._syscall(SETUP, SENDS, params)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "io_uring_setup")
        try:
            self._map(params.raw)
        except BaseException:
            os.close(self._fd)
            raise

    def _map(self, params: bytes) -> None:
        self._entries, self._results = ENTRIES.unpack_from(params)
        _, sq_tail, _, _, _, _, sq_array = SQ_OFFSETS.unpack_from(params, 40)
        cq_head, cq_tail, _, _, _, cqes = CQ_OFFSETS.unpack_from(params, 80)
        size = max(sq_array + 4 * self._entries, cqes + 4 * CQE_INTS * self._results)
        ring, sqes = self._shared(size, SQ_RING_AT), self._shared(64 * self._entries, SQES_AT)
        self._sq_tail = ring[sq_tail : sq_tail + 4].cast("I")
        self._cq_head = ring[cq_head : cq_head + 4].cast("I")
        self._cq_tail = ring[cq_tail : cq_tail + 4].cast("I")
        self._order = ring[sq_array : sq_array + 4 * self._entries].cast("I")
        self._cqes = ring[cqes : cqes + 4 * CQE_INTS * self._results].cast("i")
        self._buffer = ctypes.create_string_buffer(FRAME_BYTES)
        self._bytes = memoryview(self._buffer).cast("B")
        address = ctypes.addressof(self._buffer)
        for place in range(self._entries):
            SQE.pack_into(sqes, place * 64, SEND, 0, 0, -1, 0, address, 0, FLAGS, place)
        self._fds = sqes.cast("i")[FD_INT::SQE_INTS]
        self._lengths = sqes.cast("I")[LENGTH_INT::SQE_INTS]
        self._places = array("I", range(self._entries))

    def _shared(self, size: int, at: int) -> memoryview:
        flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
        return memoryview(mmap.mmap(self._fd, size, flags=flags, offset=at))

    def send(self, fds: Sequence[int], frame: bytes) -> list[int]:
        """
        Send the frame to at most `SENDS` sockets: for each the bytes taken or a negative errno.
        Raises OSError if the kernel did not do them all; then some have the frame and nobody knows.
        """
        count, size = len(fds), len(frame)
        self._bytes[:size] = frame
        self._fds[:count] = array("i", fds)
        self._lengths[:count] = array("I", (size,)) * count
        tail = self._sq_tail[0]
        at = tail % self._entries
        first = min(count, self._entries - at)
        self._order[at : at + first] = self._places[:first]
        self._order[: count - first] = self._places[first:count]
        self._sq_tail[0] = (tail + count) & 0xFFFFFFFF
        done = self._syscall(ENTER, self._fd, count, 0, 0, None, 0)
        results = self._taken()
        if done != count or len(results) != count:
            raise OSError(ctypes.get_errno(), f"io_uring did {len(results)} of {count} sends")
        return results

    def _taken(self) -> list[int]:
        """The results that are there. Sends that do not wait are done in turn."""
        head, tail = self._cq_head[0], self._cq_tail[0]
        count = (tail - head) & 0xFFFFFFFF
        at = head % self._results
        first = min(count, self._results - at)
        found = self._cqes[CQE_INTS * at : CQE_INTS * (at + first)][RESULT_INT::CQE_INTS].tolist()
        rest = self._cqes[: CQE_INTS * (count - first)][RESULT_INT::CQE_INTS].tolist()
        self._cq_head[0] = tail
        return found + rest

    def close(self) -> None:
        os.close(self._fd)


class RingWriter:
    """Writes frames through a ring, for as long as it does what it should."""

    def __init__(self, ring: Ring) -> None:
        self._ring: Ring | None = ring

    def __call__(self, viewers: Sequence[Viewer], frame: bytes) -> None:
        """A finished frame to each of the viewers, who are all `direct`."""
        for at in range(0, len(viewers), SENDS):
            part = viewers[at : at + SENDS]
            if self._ring is None or len(part) < WORTH_IT or len(frame) > FRAME_BYTES:
                write_each(part, frame)
            else:
                self._send(self._ring, part, frame)

    def _send(self, ring: Ring, viewers: Sequence[Viewer], frame: bytes) -> None:
        try:
            results = ring.send([viewer.fd for viewer in viewers], frame)
        except OSError:
            log.exception("io_uring failed; frames go one by one from now on")
            self._ring = None
            ring.close()
            for viewer in viewers:  # who had the frame is not known: they come back and recover
                viewer.failed()
            return
        if results.count(len(frame)) == len(results):
            return
        for viewer, result in zip(viewers, results, strict=True):
            if result != len(frame):
                viewer.wrote(frame, result)


def writer() -> WriteMany:
    """How this system writes one frame to many viewers."""
    try:
        ring = Ring()
        _try(ring)
    except OSError as problem:  # containers commonly forbid it
        log.info("no io_uring here: %s", problem)
        return write_each
    return RingWriter(ring)


def _try(ring: Ring) -> None:
    """Raises OSError if the kernel knows rings, but not this request: before Linux 5.6."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sent = ring.send([ours.fileno()], b"?")
    if sent != [1]:
        ring.close()
        raise OSError(-sent[0], "IORING_OP_SEND")
