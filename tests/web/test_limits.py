"""Limits per address."""

import pytest

from liveserver.problems import Refused
from liveserver.web.limits import ADDRESSES_MAX, RATES, Limits, is_loopback, network, prefix


class Clock:
    """Milliseconds that only the test moves."""

    def __init__(self) -> None:
        self.ms = 0

    def __call__(self) -> int:
        return self.ms


def test_a_burst_passes_then_one_must_wait_as_told() -> None:
    """After the wait that was told one more passes; others are not touched."""
    clock = Clock()
    limits, rate = Limits(clock), RATES["login"]
    for _ in range(int(rate.burst)):
        limits.take("login", "203.0.113.1")
    with pytest.raises(Refused) as caught:
        limits.take("login", "203.0.113.1")
    limits.take("login", "203.0.113.2")
    limits.take("session", "203.0.113.1")
    clock.ms += int(caught.value.facts["retry_after"]) * 1000  # type: ignore[call-overload]
    limits.take("login", "203.0.113.1")


def test_one_ipv6_subscriber_is_one_address() -> None:
    """A /64 is what a single line gets; mapped IPv4 is IPv4."""
    assert prefix("2001:db8::1") == prefix("2001:db8::ffff:1")
    assert prefix("2001:db8::1") != prefix("2001:db8:0:1::1")
    assert prefix("::ffff:203.0.113.1") == "203.0.113.1"


def test_guests_are_counted_for_their_whole_network() -> None:
    """A /24 and a /56 are one neighbourhood; others are not touched, nor is another kind."""
    assert network("203.0.113.1") == network("::ffff:203.0.113.254") != network("203.0.114.1")
    assert network("2001:db8:0:1::1") == network("2001:db8:0:ff::1") != network("2001:db8:0:100::1")
    assert network("a unix socket") == "a unix socket"
    limits = Limits(Clock())
    for number in range(int(RATES["guest"].burst)):
        limits.take("guest", f"203.0.113.{number % 250}")
    with pytest.raises(Refused):
        limits.take("guest", "203.0.113.251")
    limits.take("guest", "203.0.112.1")
    limits.take("reserve", "203.0.113.251")


def test_the_table_is_bounded() -> None:
    """Somebody with many addresses fills no memory."""
    limits = Limits(Clock())
    for number in range(ADDRESSES_MAX + 100):
        limits.take("read", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(limits._tables["read"]) == ADDRESSES_MAX


def test_loopback_is_loopback_in_every_spelling() -> None:
    """IPv4, IPv6, and IPv4 inside IPv6; a unix socket has no address."""
    assert all(is_loopback(one) for one in ("127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"))
    assert not any(is_loopback(one) for one in ("", "10.0.0.1", "localhost", "2001:db8::1"))
