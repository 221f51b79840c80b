"""
What a receiver knows of one incoming stream: what is missing, and what to report (RFC 3550, A.3 and
A.8). Pure: times are seconds of any clock that does not jump.
"""

from liveserver.media import rtcp
from liveserver.media.rtp import SEQ, TS, newer

JUMP_MAX = 500  # numbers ahead; further is a new start and no loss
MISSING_MAX = 256  # asked for at once; beyond that a keyframe costs less
ASK_EVERY = 0.1  # seconds between two requests for the same packet: about one way there and back
ASKS_MAX = 8  # then it is lost: 0.8 s is later than any viewer's patience


class Reception:
    """One SSRC. `clock` is the codec's rate in Hz."""

    def __init__(self, clock: int) -> None:
        self._clock = clock
        self.highest = -1  # extended sequence number
        self.lost = 0  # given up
        self._base = 0
        self._received = 0
        self._reported = (0, 0)  # expected and received at the last report
        self._jitter = 0.0
        self._transit: float | None = None
        self._missing: dict[int, tuple[int, float]] = {}  # number -> (asked, next time)
        self._sr = (0, 0.0)  # middle 32 bits of NTP, when it came

    def take(self, seq: int, timestamp: int, now: float) -> int:
        """
        Note a packet; its extended number, which grows without wrapping. A big jump begins anew,
        still above everything before.
        """
        if self.highest < 0:
            self.highest = self._base = SEQ + seq
            self._received = 1
            return self.highest
        number = self._extend(seq)
        self._received += 1
        self._note_jitter(timestamp, now)
        if number > self.highest:
            gap = number - self.highest - 1
            if gap > JUMP_MAX or gap + len(self._missing) > MISSING_MAX:
                self.lost += gap + len(self._missing) if gap <= JUMP_MAX else 0
                self._missing.clear()
            else:
                for one in range(self.highest + 1, number):
                    self._missing[one] = (0, now)
            self.highest = number
        else:
            self._missing.pop(number, None)
        return number

    def _extend(self, seq: int) -> int:
        ahead = newer(seq, self.highest % SEQ)
        return self.highest + (
            (seq - self.highest) % SEQ if ahead else -((self.highest - seq) % SEQ)
        )

    def _note_jitter(self, timestamp: int, now: float) -> None:
        transit = now * self._clock - timestamp
        if self._transit is not None:
            difference = abs(transit - self._transit)
            if difference < self._clock * 10:  # a jump of the sender's clock is no jitter
                self._jitter += (difference - self._jitter) / 16
        self._transit = transit

    def due(self, now: float) -> list[int]:
        """16-bit numbers to ask for now; those asked for often enough are given up."""
        wanted = []
        for number, (asked, at) in list(self._missing.items()):
            if asked >= ASKS_MAX:
                del self._missing[number]
                self.lost += 1
            elif at <= now:
                self._missing[number] = (asked + 1, now + ASK_EVERY)
                wanted.append(number % SEQ)
        return wanted

    @property
    def is_missing_some(self) -> bool:
        return bool(self._missing)

    def note_report(self, ntp: int, now: float) -> None:
        """A sender report came."""
        self._sr = ((ntp >> 16) % TS, now)

    def report(self, ssrc: int, now: float) -> rtcp.Reception:
        """What to tell the sender, since the last time."""
        expected = self.highest - self._base + 1 if self.highest >= 0 else 0
        before, had = self._reported
        due, got = expected - before, self._received - had
        self._reported = (expected, self._received)
        fraction = 0 if due <= 0 or got >= due else ((due - got) << 8) // due
        middle, at = self._sr
        delay = int((now - at) * 65_536) if middle else 0
        return rtcp.Reception(
            ssrc,
            fraction,
            expected - self._received,
            max(0, self.highest) % TS,
            int(self._jitter),
            middle,
            delay,
        )
