"""
Who really asks, behind proxies: forwarding headers count only from peers that are trusted.

`X-Forwarded-For` grows to the right: each proxy appends the address it was called from. So it is
read from the right, past the trusted proxies, and the first address that is not one of them is the
client; whatever stands further left was written by the client itself.
"""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
Headers = Mapping[str, str] | Iterable[tuple[str, str]]

HOPS_MAX = 32  # addresses read from forwarding headers; nobody has that many proxies

FORWARDING = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded")


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Addresses and CIDR ranges. Raises ValueError that names the wrong one."""
    return tuple(ip_network(text.strip(), strict=False) for text in texts)


def is_trusted(peer: str | None, trusted: Iterable[Network]) -> bool:
    """Whether the peer of the connection itself may speak for others."""
    address = _address(peer or "")
    return address is not None and any(address in network for network in trusted)


def client_address(peer: str | None, headers: Headers, trusted: Iterable[Network]) -> str:
    """
    The address of the client: the peer, or what a trusted peer says.

    `headers` is a mapping or pairs of names and values. A unix socket has no peer: "".
    """
    trusted = tuple(trusted)
    here = peer or ""
    if not is_trusted(here, trusted):
        return _text(here)
    hops = [hop for value in _values(headers, "x-forwarded-for") for hop in value.split(",")]
    for hop in reversed(hops[-HOPS_MAX:]):
        address = _address(hop)
        if address is None:
            break  # not an address: nothing left of it can be trusted
        here = str(address)
        if not any(address in network for network in trusted):
            break
    return _text(here)


def forwarded_origin(
    peer: str | None, headers: Headers, trusted: Iterable[Network], *, scheme: str, host: str
) -> str:
    """The origin under which the client sees us, from the request or from a trusted proxy."""
    if is_trusted(peer, trusted):
        headers = _pairs(headers)
        scheme = _last(headers, "x-forwarded-proto") or scheme
        host = _last(headers, "x-forwarded-host") or host
    return f"{scheme}://{host}".lower()


def is_forwarded(headers: Headers) -> bool:
    """Whether a request carries any forwarding header, trusted or not."""
    return any(name.lower() in FORWARDING for name, _ in _pairs(headers))


def _pairs(headers: Headers) -> list[tuple[str, str]]:
    return list(headers.items() if isinstance(headers, Mapping) else headers)


def _values(headers: Headers, wanted: str) -> list[str]:
    return [value for name, value in _pairs(headers) if name.lower() == wanted]


def _last(headers: Headers, name: str) -> str:
    values = _values(headers, name)
    return values[-1].split(",")[-1].strip() if values else ""


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """An address with or without port and brackets; IPv4 inside IPv6 becomes plain IPv4."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _text(peer: str) -> str:
    address = _address(peer)
    return peer if address is None else str(address)
