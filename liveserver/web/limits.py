"""Limits per address: token buckets in a bounded table."""

from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, NamedTuple

from liveserver.addresses import Headers, is_forwarded
from liveserver.problems import Refused

if TYPE_CHECKING:
    from liveserver.services import Services

ADDRESSES_MAX = 20_000  # per kind, about 4 MB; the address not seen for longest is forgotten
IPV6_PREFIX_BITS = 64  # one subscriber has at least that many addresses
#: What one customer of a provider easily gets: the whole /24 of a rented machine, and a /56.
NETWORK_BITS = {4: 24, 6: 56}
OF_NETWORKS = frozenset({"guest"})  # kinds that are counted for a whole network


class Rate(NamedTuple):
    """A bucket: `burst` requests at once, refilled by `per_second`."""

    per_second: float
    burst: float


#: Thousands of viewers share one address behind a carrier, so only log-ins are really tight; the
#: others keep a single machine from taking the server for itself. `guest` counts what guests
#: reserve: a guest session costs nothing, so whoever wants many units makes many, from the
#: addresses of one network. It is told when to come back, and buyers with an account are not asked.
RATES: dict[str, Rate] = {
    "read": Rate(200, 1_000),
    "write": Rate(30, 150),
    "reserve": Rate(50, 300),
    "guest": Rate(20, 100),
    "session": Rate(2, 100),
    "login": Rate(0.5, 20),
}


class Limits:
    """The buckets of all kinds. `now` is in milliseconds."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._tables: dict[str, OrderedDict[str, tuple[float, int]]] = {
            kind: OrderedDict() for kind in RATES
        }

    def take(self, kind: str, address: str) -> None:
        """
        Count one request of `address`, or of its whole network.

        Raises:
            Refused: `rate-limited`, with `retry_after` in seconds.
        """
        rate, table, now = RATES[kind], self._tables[kind], self._now()
        name = network(address) if kind in OF_NETWORKS else prefix(address)
        left, at = table.pop(name, (rate.burst, now))
        left = min(rate.burst, left + max(0, now - at) * rate.per_second / 1000)
        allowed = left >= 1
        table[name] = (left - 1 if allowed else left, now)
        if len(table) > ADDRESSES_MAX:
            table.popitem(last=False)
        if not allowed:
            wait = max(1, round((1 - left) / rate.per_second + 0.5))
            raise Refused("rate-limited", "Too many requests.", retry_after=wait)


def prefix(address: str) -> str:
    """What counts as one subscriber: an IPv4 address, or the first 64 bits of an IPv6 one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address  # a unix socket, or something a proxy made up
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return hex(int(parsed) >> (128 - IPV6_PREFIX_BITS))


def network(address: str) -> str:
    """What counts as one neighbourhood: an IPv4 /24, an IPv6 /56."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    bits = NETWORK_BITS[parsed.version]
    return f"{int(parsed) >> (parsed.max_prefixlen - bits):x}/{bits}"


def counts(address: str, headers: Headers, *, limit_loopback: bool) -> bool:
    """Whether requests of this address are limited: loopback is spared where no proxy forwarded."""
    return limit_loopback or not is_loopback(address) or is_forwarded(headers)


def count(services: "Services", kind: str, address: str) -> None:
    """Count one request of `address`, and its refusal for the metrics. Raises `Refused`."""
    try:
        services.limits.take(kind, address)
    except Refused:
        services.http_meters.limited(kind)
        raise


def is_loopback(address: str) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped.is_loopback
    return parsed.is_loopback
