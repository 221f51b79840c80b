"""
Which text may be registered as a webhook URL, refused in words that help.

The real guard asks `orders.addresses` when the connection is made; this check exists so that a
merchant learns of a mistake at once and not from a failed delivery.
"""

import re
from ipaddress import IPv4Address
from urllib.parse import SplitResult, urlsplit

from orders.addresses import Policy, as_literal, refusal
from orders.errors import Invalid
from orders.webhooks import URL_MAX

_TEXT = re.compile(r"[A-Za-z0-9:/?#\[\]@!$&'()*+,;=%._~-]+")  # RFC 3986, so no two parsers differ
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?")
_NUMERIC = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+)){0,3}")


def check_url(text: str, policy: Policy, *, https_only: bool = False) -> str:
    """
    The URL as it will be used.

    Raises:
        Invalid: Says what is wrong with it.
    """
    if len(text) > URL_MAX:
        raise Invalid(f"the URL is longer than {URL_MAX} characters")
    if not _TEXT.fullmatch(text):
        raise Invalid("the URL has characters that must be percent-encoded; names as xn--…")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise Invalid(f"not a URL: {error}") from None
    _check_parts(parts, https_only)
    host = (parts.hostname or "").rstrip(".")
    port = port if port is not None else (443 if parts.scheme == "https" else 80)
    _check_host(host, port, policy)
    return text


def _check_parts(parts: SplitResult, https_only: bool) -> None:
    if parts.scheme not in ("http", "https"):
        raise Invalid("the URL must begin with https:// or http://")
    if https_only and parts.scheme != "https":
        raise Invalid("the URL must begin with https://")
    if parts.username is not None or parts.password is not None:
        raise Invalid("no user name or password in the URL; requests are signed instead")
    if parts.fragment:
        raise Invalid("a #fragment is never sent; leave it out")
    if not parts.hostname:
        raise Invalid("the URL has no host")


def _check_host(host: str, port: int, policy: Policy) -> None:
    address = as_literal(host)
    if address is None and (host == "localhost" or host.endswith(".localhost")):
        address = IPv4Address("127.0.0.1")
    if address is None:
        if _NUMERIC.fullmatch(host):
            raise Invalid("write an IPv4 address as four decimal numbers, such as 203.0.113.7")
        if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split(".")):
            raise Invalid(f"{host!r} is not a host name")
        address = IPv4Address("8.8.8.8")  # any public one: only the port is judged yet
    reason = refusal(address, port, policy)
    if reason:
        raise Invalid(f"webhooks may not be sent there: {reason}")
