"""
Requests with a key of the caller's: done once, however often they are sent.

The answer is stored in the transaction of what was done. Whoever repeats the key reads it again,
byte for byte; another request with the key is a conflict. A refusal is not stored: then nothing was
done, and the same key is a fresh try. Draft: draft-ietf-httpapi-idempotency-key-header.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

from orders.desk import Answer, Desk
from orders.errors import KeyConflict, Refusal
from orders.ledger import Wanted
from orders.memory import Memory
from orders.requests import Keyed
from orders.sale import MAX_KEY_CHARS
from orders.text import check_text

#: What the server adds by itself, and may find different when the request comes again.
NOT_ASKED = {"actor", "key", "show"}

Wants = Callable[[Memory, Any, Wanted], None]
Decide = Callable[[Desk, Any], Answer | Refusal]


def wants_once(wants: Wants) -> Wants:
    """What these read, and the answer that the key may have."""

    def more(memory: Memory, request: Keyed, wanted: Wanted) -> None:
        wants(memory, request, wanted)
        if request.key is not None:
            wanted.answers.add((request.actor, request.key))

    return more


def decide_once(decide: Decide) -> Decide:
    """The known answer of the key, or a decision whose answer is kept."""

    def once(desk: Desk, request: Keyed) -> Answer | Refusal:
        if request.key is None:
            return decide(desk, request)
        check_text(request.key, "key", most=MAX_KEY_CHARS)
        place, asked = (request.actor, request.key), fingerprint(request)
        known = desk.known_answer(place)
        if known is None:
            answer = decide(desk, request)
            if not isinstance(answer, Refusal):
                desk.keep_answer(place, asked, answer)
            return answer
        if known[0] != asked:
            raise KeyConflict("this key was used for another request")
        return known[1]

    return once


def fingerprint(request: Keyed) -> str:
    """SHA-256 of what was asked, in hexadecimal digits. A value that is a default says nothing."""
    fields = {
        field.name: getattr(request, field.name)
        for field in msgspec.structs.fields(request)
        if field.name not in NOT_ASKED and getattr(request, field.name) != field.default
    }
    asked = [request.__struct_config__.tag, fields]
    return hashlib.sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()
