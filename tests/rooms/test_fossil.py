"""Differences of payloads: what the official SDK makes of them is the payload."""

import json
from typing import Any

from centrifuge.fossil import apply_delta
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rooms import fossil, protocol
from rooms.bus import Publication

texts = st.text(st.characters(blacklist_categories=["Cs"]), max_size=80)
pieces = st.lists(texts, max_size=6)


@settings(max_examples=300)
@example(["直播" * 20], ["直接" * 20])
@example(["é"], ["è"])
@example(["a" * 100], ["a" * 101])
@given(pieces, pieces)
def test_a_difference_makes_the_new_from_the_old(ours: list[str], theirs: list[str]) -> None:
    """Whole characters only, the right bytes, and never longer than the payload itself."""
    old = "".join(ours).encode()
    new = "".join([*ours[:2], *theirs, *ours[2:]]).encode()
    delta = fossil.create(old, new)
    if delta is None:
        return
    assert len(delta) < len(new)
    assert apply_delta(old, delta.decode().encode()) == new


def test_a_small_change_makes_a_small_difference() -> None:
    """Two numbers in a long object: pieces between them are found."""
    words = [f"product {number} with a title of its own" for number in range(40)]

    def state(version: int, left: int) -> bytes:
        return json.dumps(
            {"version": version, "items": words, "left": left, "tail": words}
        ).encode()

    old, new = state(17, 400), state(18, 399)
    delta = fossil.create(old, new)
    assert delta is not None
    assert len(delta) < 60 < 3000 < len(new)
    assert apply_delta(old, delta) == new


def test_what_has_nothing_in_common_is_sent_whole() -> None:
    """A difference that is no shorter is none."""
    assert fossil.create(b"x" * 20_000, bytes(range(32, 127)) * 300) is None
    assert fossil.create(b"", b"{}") is None


@given(st.lists(st.dictionaries(st.sampled_from("abc"), texts, min_size=1), min_size=1, max_size=5))
def test_recovered_publications_are_a_chain(payloads: list[dict[str, Any]]) -> None:
    """The first whole, each other made from the one before."""
    items = [
        Publication(channel="x", data=json.dumps(one).encode(), offset=number)
        for number, one in enumerate(payloads, 1)
    ]
    before = b""
    for item, raw in zip(items, protocol.delta_publications(items), strict=True):
        told = json.loads(bytes(raw))
        text = told["data"].encode()
        before = apply_delta(before, text) if told.get("delta") else text
        assert (before, told["offset"]) == (item.data, item.offset)
