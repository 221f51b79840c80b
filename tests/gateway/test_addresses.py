"""Who the client is behind proxies."""

import pytest

from liveserver.addresses import client_address, forwarded_origin, is_forwarded, parse_networks

TRUSTED = parse_networks(["10.0.0.0/8", "::1", "192.0.2.1"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["1.1.1.1"], "203.0.113.9"),  # spoofed: the peer is nobody we know
        ("10.0.0.1", ["1.1.1.1"], "1.1.1.1"),
        ("10.0.0.1", ["6.6.6.6, 1.1.1.1"], "1.1.1.1"),  # the left one was written by the client
        ("10.0.0.1", ["6.6.6.6, 1.1.1.1, 10.0.0.2"], "1.1.1.1"),
        ("10.0.0.1", ["6.6.6.6", "1.1.1.1"], "1.1.1.1"),  # two headers are one list
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["rubbish"], "10.0.0.1"),
        ("10.0.0.1", ["1.1.1.1, rubbish, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("::1", ["[2001:db8::7]:4711"], "2001:db8::7"),
        ("::ffff:10.0.0.1", ["1.1.1.1:99"], "1.1.1.1"),
        ("", ["1.1.1.1"], ""),
        (None, ["1.1.1.1"], ""),
    ],
)
def test_the_client_is_the_first_address_that_is_not_a_trusted_proxy(
    peer: str | None, forwarded: list[str], expected: str
) -> None:
    """Read from the right, and only when the peer itself is trusted."""
    headers = [("X-Forwarded-For", value) for value in forwarded]
    assert client_address(peer, headers, TRUSTED) == expected


def test_nobody_is_trusted_without_settings() -> None:
    """Not even loopback."""
    assert client_address("127.0.0.1", {"x-forwarded-for": "1.1.1.1"}, ()) == "127.0.0.1"


def test_a_long_list_is_not_read_to_its_end() -> None:
    """A client cannot make the server look at a thousand addresses."""
    headers = {"X-Forwarded-For": ", ".join(["10.0.0.2"] * 5_000)}
    assert client_address("10.0.0.1", headers, TRUSTED) == "10.0.0.2"


def test_the_origin_is_taken_from_trusted_proxies_alone() -> None:
    """Scheme and host as the client sees them."""
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "live.example"}
    seen = {"scheme": "http", "host": "127.0.0.1:8000"}
    assert forwarded_origin("10.0.0.1", headers, TRUSTED, **seen) == "https://live.example"
    assert forwarded_origin("1.1.1.1", headers, TRUSTED, **seen) == "http://127.0.0.1:8000"
    assert forwarded_origin("10.0.0.1", {}, TRUSTED, **seen) == "http://127.0.0.1:8000"
    assert is_forwarded(headers) and not is_forwarded({"Host": "x"})


def test_wrong_networks_are_named() -> None:
    """The settings file tells which entry is wrong."""
    with pytest.raises(ValueError, match="nonsense"):
        parse_networks(["10.0.0.0/8", "nonsense"])
