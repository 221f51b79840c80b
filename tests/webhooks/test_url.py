"""Which URLs may be registered, and that each refusal says what to do."""

import pytest

from orders.addresses import Policy, parse_networks
from orders.errors import Invalid
from orders.webhooks_url import check_url

NOBODY = Policy()


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/hook",
        "http://shop.example:8080/hook?x=1&y=%E4%BD%A0",
        "https://xn--fiq228c.example/",
        "https://shop.example.:443/",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]/hook",
        "https://under_score.example/",
    ],
)
def test_public_urls_are_taken_as_they_are(url: str) -> None:
    """The merchant gets back what was sent in."""
    assert check_url(url, NOBODY) == url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "percent-encoded"),
        ("shop.example/hook", "begin with https://"),
        ("ftp://shop.example/", "begin with https://"),
        ("javascript:alert(1)", "begin with https://"),
        ("https://", "no host"),
        ("https:///hook", "no host"),
        ("https://shop.example:99999/", "not a URL"),
        ("https://[::1/", "not a URL"),
        ("https://shop.example/" + "a" * 2000, "longer than 2000"),
        ("https://user:secret@shop.example/", "no user name"),
        ("https://@shop.example/", "no user name"),
        ("https://shop.example/#part", "fragment"),
        ("https://shop.example/a b", "percent-encoded"),
        ("https://shop.example\\@evil.example/", "percent-encoded"),
        ("https://商店.example/", "xn--"),
        ("https://shop.example/\n", "percent-encoded"),
        ("https://-shop.example/", "not a host name"),
        ("https://a..b/", "not a host name"),
        ("https://shop.example:22/", "port 22"),
        ("https://localhost/", "loopback"),
        ("https://LOCALHOST:8443/", "loopback"),
        ("https://a.localhost/", "loopback"),
        ("https://127.0.0.1/", "loopback"),
        ("https://127.1/", "four decimal numbers"),
        ("https://2130706433/", "four decimal numbers"),
        ("https://0x7f.0.0.1/", "four decimal numbers"),
        ("https://0177.0.0.1/", "four decimal numbers"),
        ("https://[::ffff:10.0.0.1]/", "private"),
        ("http://169.254.169.254/latest/meta-data/", "metadata"),
        ("http://[fd00:ec2::254]/", "metadata"),
    ],
)
def test_a_refused_url_says_why(url: str, words: str) -> None:
    """Before anything is stored."""
    with pytest.raises(Invalid) as caught:
        check_url(url, NOBODY)
    assert words in caught.value.detail


def test_what_the_operator_exempts_may_be_registered() -> None:
    """The sample receiver by address and port, an internal network by range."""
    policy = Policy(exempt=frozenset({("127.0.0.1", 9000)}), allowed=parse_networks(["10.0.0.0/8"]))
    for url in ("http://127.0.0.1:9000/", "http://localhost:9000/", "http://10.1.2.3/"):
        assert check_url(url, policy) == url
    with pytest.raises(Invalid):
        check_url("http://127.0.0.1:9001/", policy)


def test_plain_http_can_be_refused() -> None:
    """A switch for shops on the open internet."""
    assert check_url("https://shop.example/", NOBODY, https_only=True)
    with pytest.raises(Invalid, match="https://"):
        check_url("http://shop.example/", NOBODY, https_only=True)
