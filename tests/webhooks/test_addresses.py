"""Where webhooks may connect. Every row is one way to smuggle an address in."""

from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.addresses import Policy, layers, parse_networks, refusal

NOBODY = Policy()


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.9.9.9", "172.16.0.1",
        "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1",
        "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::127.0.0.1", "::ffff:10.0.0.1", "::ffff:127.0.0.1",
        "2002:7f00:1::1", "2002:c0a8:0101::1",  # 6to4 of loopback and of a private one
        "64:ff9b::10.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b:1::8.8.8.8",  # NAT64
        "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2",  # Teredo
        "2001:db8::1", "3fff::1", "5f00::1", "fc00::1", "fd12:3456::1", "fec0::1", "feff::1",
        "ff02::1", "2606:4700::200:5efe:10.0.0.1", "2606:4700::5efe:192.168.0.1",  # ISATAP
    ],
)  # fmt: skip
def test_what_is_not_public_is_refused(address: str) -> None:
    """Loopback, private, shared, reserved, multicast, and each in its IPv6 disguises."""
    assert refusal(ip_address(address), 443, NOBODY)


METADATA = [
    "169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "192.0.0.192",
    "fd00:ec2::254", "fd20:ce::254", "fe80::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1", "::169.254.169.254", "64:ff9b::168.63.129.16",
]  # fmt: skip


@pytest.mark.parametrize("address", METADATA)
def test_cloud_metadata_is_refused_whatever_the_operator_allows(address: str) -> None:
    """A whole-internet exemption and an exact one do not open it."""
    everything = Policy(
        allowed=parse_networks(["0.0.0.0/0", "::/0"]),
        exempt=frozenset({(address, 80), ("169.254.169.254", 80)}),
    )
    reason = refusal(ip_address(address), 80, everything)
    assert reason and "metadata" in reason


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "114.114.114.114", "2606:4700::1111", "2001:4860:4860::8888",
     "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"],
)  # fmt: skip
@pytest.mark.parametrize("port", [80, 443, 1024, 8443, 65535])
def test_the_internet_is_allowed(address: str, port: int) -> None:
    """Public addresses, also by a translator, at the usual ports."""
    assert refusal(ip_address(address), port, NOBODY) is None


@pytest.mark.parametrize("port", [0, 1, 22, 25, 81, 1023])
def test_low_ports_are_refused(port: int) -> None:
    """Other services live there; a POST may be a command to them."""
    reason = refusal(ip_address("8.8.8.8"), port, NOBODY)
    assert reason and str(port) in reason


def test_an_exact_exemption_opens_one_address_at_one_port() -> None:
    """Nothing beside it, but also the same address in its mapped form."""
    policy = Policy(exempt=frozenset({("127.0.0.1", 9000)}))
    assert refusal(ip_address("127.0.0.1"), 9000, policy) is None
    assert refusal(ip_address("::ffff:127.0.0.1"), 9000, policy) is None
    assert refusal(ip_address("127.0.0.1"), 9001, policy)
    assert refusal(ip_address("127.0.0.2"), 9000, policy)
    assert refusal(ip_address("2002:7f00:1::1"), 9000, policy)


def test_an_operators_network_is_open_but_not_its_low_ports() -> None:
    """`WEBHOOK_ALLOWED_CIDRS` is about addresses."""
    policy = Policy(allowed=parse_networks(["10.1.0.0/16", "fd12::/16"]))
    assert refusal(ip_address("10.1.2.3"), 8080, policy) is None
    assert refusal(ip_address("fd12::1"), 443, policy) is None
    assert refusal(ip_address("10.2.0.1"), 8080, policy)
    assert refusal(ip_address("10.1.2.3"), 22, policy)


def test_a_wrong_network_is_named() -> None:
    """The operator reads which entry is wrong."""
    with pytest.raises(ValueError, match=r"'10\.1\.2\.3/8' is not a network"):
        parse_networks(["10.0.0.0/8", "10.1.2.3/8"])


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:{}", "64:ff9b::{}", "::{}"]))
def test_wrapping_never_opens_what_is_closed(inner: IPv4Address, form: str) -> None:
    """Whatever IPv4 address is refused stays refused inside IPv6."""
    outer = ip_address(form.format(inner))
    if refusal(inner, 443, NOBODY):
        assert refusal(outer, 443, NOBODY)
    if int(inner) > 1:
        assert inner in layers(outer)


@given(st.ip_addresses(), st.integers(0, 65535))
def test_every_address_gets_an_answer(address: IPv4Address, port: int) -> None:
    """In words or not at all; nothing makes the rules fail."""
    reason = refusal(address, port, NOBODY)
    assert reason is None or reason.strip()
    if not address.is_global and getattr(address, "ipv4_mapped", None) is None:
        assert reason, "nothing that Python calls not global is reachable"
