"""Verifying what others sign by Standard Webhooks 1.0: the other half of `orders.webhooks.sign`."""

import binascii
import hmac
from collections.abc import Iterable

from orders.webhooks import sign

TOLERANCE_SECONDS = 300  # of clocks and slow ways; an older message may be a recorded one


def is_signed(
    secrets: Iterable[str],
    webhook_id: str,
    timestamp: str,
    signatures: str,
    body: bytes,
    now_seconds: int,
) -> bool:
    """Whether one of the signatures was made with one of the secrets, and not long ago."""
    if not webhook_id or "." in webhook_id or not timestamp.isascii() or not timestamp.isdigit():
        return False
    if len(timestamp) > 12 or abs(int(timestamp) - now_seconds) > TOLERANCE_SECONDS:
        return False
    given = [text.encode() for text in signatures.split(" ") if text.startswith("v1,")]
    try:
        made = [sign(secret, webhook_id, int(timestamp), body).encode() for secret in secrets]
    except binascii.Error:
        return False
    return any(hmac.compare_digest(one, other) for one in given for other in made)
