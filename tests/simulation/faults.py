"""What goes wrong, and how often: drawn once for each simulated day."""

from dataclasses import dataclass
from random import Random


class Killed(BaseException):
    """Raised inside a process that was killed, at whatever it was waiting for."""


@dataclass
class Odds:
    """Probabilities of each wait or message; times in seconds."""

    crash: float  # the process is killed here
    stop: float  # it stands still for a while (SIGSTOP), then goes on
    busy: float  # the database answers with a lock
    broken: float  # the connection is lost
    detach: float  # the commit's connection is lost; the database commits later, or not
    loss: float  # a message never arrives
    twice: float  # it arrives twice
    slow: float  # mean time of a wait for the database
    restart: float  # a clean restart of a writer, each second
    flush: float  # the transport forgets everything, each second
    gateway: float  # a gateway is killed, each second
    kills_stopped: bool  # one machine: a holder that stands still is killed after 5 s

    @classmethod
    def draw(cls, random: Random) -> "Odds":
        """Some days are calm in one way and wild in another."""
        return cls(
            crash=random.choice((0, 0.002, 0.01)),
            stop=random.choice((0, 0.002, 0.006)),
            busy=random.choice((0, 0.01, 0.05)),
            broken=random.choice((0, 0.003, 0.01)),
            detach=random.choice((0, 0.02, 0.1)),
            loss=random.choice((0, 0.02, 0.2)),
            twice=random.choice((0, 0.02, 0.2)),
            slow=random.choice((0.0005, 0.005, 0.1)),
            restart=random.choice((0, 0.05)),
            flush=random.choice((0, 0.05)),
            gateway=random.choice((0, 0.05)),
            kills_stopped=random.random() < 0.5,
        )

    @classmethod
    def none(cls) -> "Odds":
        """A day without faults."""
        return cls(0, 0, 0, 0, 0, 0, 0, 0.002, 0, 0, 0, False)
