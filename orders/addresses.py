"""
Where the server may connect on behalf of a merchant, and where never.

A webhook URL is text from outside, so a request to it must not reach the server's own network
(server-side request forgery). The rules look at one final IP address and port; whoever connects
asks them at the last moment, when names are resolved, so that literals, DNS answers and names that
change their mind (rebinding) are all covered.

IPv6 has many ways to write an IPv4 address. Each is unwrapped and every layer must be acceptable,
because the host's routing decides which one is used.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import msgspec

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

PORTS_BELOW_1024 = frozenset({80, 443})  # below 1024 live mail, databases' admin ports, SSH, …

#: Credentials of cloud machines. Blocked whatever the operator allows.
METADATA: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "169.254.0.0/16",  # link-local: AWS, Azure, GCP, Tencent, containers
        "168.63.129.16/32",  # Azure's wire server, a public-looking address
        "100.100.100.200/32",  # Alibaba Cloud
        "192.0.0.192/32",  # Oracle Cloud
        "fd00:ec2::/32",  # AWS over IPv6
        "fd20:ce::/32",  # GCP over IPv6
        "fe80::/10",  # link-local
    )
)

#: What `is_global` of Python 3.11 misses or calls global, and ranges that tunnel elsewhere.
SPECIAL: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(text), words)
    for text, words in (
        ("0.0.0.0/8", "this host"),
        ("100.64.0.0/10", "the provider's shared range"),
        ("192.0.0.0/24", "protocol assignments"),
        ("192.88.99.0/24", "the 6to4 relay"),
        ("198.18.0.0/15", "benchmarking"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
        ("64:ff9b:1::/48", "local NAT64"),
        ("2001::/32", "Teredo"),
        ("2001:db8::/32", "documentation"),
        ("3fff::/20", "documentation"),
        ("5f00::/16", "segment routing"),
        ("fc00::/7", "unique local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)

NAT64 = IPv6Network("64:ff9b::/96")
COMPATIBLE = IPv6Network("::/96")  # the deprecated ::a.b.c.d
ISATAP = 0x5EFE  # third quarter of an interface id that ends in an IPv4 address


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """
    What the operator exempts.

    Attributes:
        exempt: Exact (address, port) pairs, for a receiver on the same machine.
        allowed: Networks of the operator that webhooks may reach.
    """

    exempt: frozenset[tuple[str, int]] = frozenset()
    allowed: tuple[Network, ...] = ()


def layers(address: Address) -> list[Address]:
    """The address itself and every IPv4 address that it wraps, outermost first."""
    found: list[Address] = [address]
    if isinstance(address, IPv4Address):
        return found
    number = int(address)
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]  # the same thing to every operating system
    if address.sixtofour is not None:
        found.append(address.sixtofour)
    if address.teredo is not None:
        found.extend(address.teredo)
    if address in NAT64 or (address in COMPATIBLE and number > 1):
        found.append(IPv4Address(number & 0xFFFF_FFFF))
    if (number >> 32) & 0xFDFF_FFFF == ISATAP:
        found.append(IPv4Address(number & 0xFFFF_FFFF))
    return found


def refusal(address: Address, port: int, policy: Policy) -> str | None:
    """Why the server must not connect there, in words; None when it may."""
    parts = layers(address)
    for part in parts:
        if any(part in network for network in METADATA):
            return f"{address} belongs to a link-local or cloud metadata range"
    if (str(parts[0]), port) in policy.exempt:
        return None
    if not (port in PORTS_BELOW_1024 or 1024 <= port <= 65535):
        return f"port {port} is not allowed; use 80, 443 or one from 1024 up"
    for part in parts:
        reason = _not_public(part)
        if reason and not any(part in network for network in policy.allowed):
            return f"{address} is not a public address ({reason})"
    return None


def _not_public(address: Address) -> str | None:
    for network, words in SPECIAL:
        if address in network:
            return words
    if address.is_loopback:
        return "loopback"
    if address.is_multicast:
        return "multicast"
    if address.is_private:
        return "private"
    return None if address.is_global else "not routed on the internet"


def parse_networks(texts: list[str]) -> tuple[Network, ...]:
    """
    The operator's list of networks, such as `10.1.0.0/16`.

    Raises:
        ValueError: Names the entry that is not a network.
    """
    networks = []
    for text in texts:
        try:
            networks.append(ip_network(text))
        except ValueError as error:
            raise ValueError(f"{text!r} is not a network such as 10.1.0.0/16: {error}") from None
    return tuple(networks)


def as_literal(host: str) -> Address | None:
    """The address that `host` spells out, or None for a name. Brackets are already gone."""
    try:
        return ip_address(host)
    except ValueError:
        return None
