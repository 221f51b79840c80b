"""
Decisions about how a merchant's orders are paid and sent.

`handoff` sends buyers to the shop's own checkout, with the order's id signed by the secret that is
shared with the merchant's system; `collect` asks buyers where to send it; `none` does neither.
"""

import base64
import hashlib
import hmac
from urllib.parse import urlencode, urlsplit

import msgspec

from orders.desk import Answer, Desk
from orders.errors import Invalid
from orders.ledger import Wanted
from orders.memory import Memory
from orders.money import check_integer
from orders.requests import EditShop, SetSecret
from orders.text import check_text

EDITABLE = ("checkout", "checkout_url", "keep_days")
MAX_URL_CHARS = 1_000
MAX_KEEP_DAYS = 3_650
SECRET_OVERLAP_MS = 24 * 3_600_000  # the merchant's system learns the new secret meanwhile


def wants(memory: Memory, request: EditShop | SetSecret, wanted: Wanted) -> None:
    """Memory holds every shop."""


def edit(desk: Desk, request: EditShop) -> Answer:
    """From now on; orders keep what they were made with."""
    check_text(request.merchant, "merchant", most=200)
    unknown = request.changes.keys() - set(EDITABLE)
    if unknown or not request.changes:
        raise Invalid(f"these may be changed: {', '.join(EDITABLE)}", fields=sorted(unknown))
    row = msgspec.structs.replace(desk.shop(request.merchant), **request.changes)
    check_integer(row.keep_days, "keep_days", least=1, most=MAX_KEEP_DAYS)
    if row.checkout not in ("none", "handoff", "collect"):
        raise Invalid("checkout must be none, handoff or collect", field="checkout")
    if row.checkout_url is not None:
        _check_url(row.checkout_url)
    if row.checkout == "handoff" and (row.checkout_url is None or row.secret is None):
        raise Invalid(
            "handoff needs checkout_url, and a secret made before (POST /v1/hooks/secret)",
            field="checkout",
        )
    desk.put_shop(row)
    return msgspec.json.encode(row.shape())


def _check_url(url: object) -> None:
    check_text(url, "checkout_url", most=MAX_URL_CHARS)
    assert isinstance(url, str)
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("https", "http") and bool(parts.hostname) and not parts.fragment
    except ValueError:
        fine = False
    if not fine or not url.isascii() or " " in url or "@" in parts.netloc:
        raise Invalid("checkout_url must be an http(s) URL", field="checkout_url")


def set_secret(desk: Desk, request: SetSecret) -> Answer:
    """A new secret; the one before counts for a day more."""
    check_text(request.merchant, "merchant", most=200)
    check_text(request.secret, "secret", most=200)
    row = desk.shop(request.merchant)
    changed = msgspec.structs.replace(
        row,
        secret=request.secret,
        old_secret=row.secret,
        old_until=desk.now + SECRET_OVERLAP_MS if row.secret else 0,
    )
    desk.put_shop(changed)
    return msgspec.json.encode(changed.shape())


def checkout_url(desk: Desk, merchant: str, order: str) -> str | None:
    """Where the buyer of a new order pays, with `handoff`."""
    shop = desk.shop(merchant)
    if shop.checkout != "handoff" or shop.checkout_url is None or shop.secret is None:
        return None
    query = urlencode({"order": order, "signature": signature(shop.secret, order)})
    return f"{shop.checkout_url}{'&' if '?' in shop.checkout_url else '?'}{query}"


def signature(secret: str, order: str) -> str:
    """HMAC-SHA256 of the order's id under the bytes of the secret, in hexadecimal digits."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return hmac.digest(key, order.encode(), hashlib.sha256).hex()
