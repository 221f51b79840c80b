"""What may be said, thrown and be called."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rooms import channels, chat, danmaku, names, text
from rooms.errors import Invalid
from rooms.times import rfc3339


def said(**fields: object) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (" hi ", "hi"),
        ("e\u0301", "é"),
        ("主播好👋🏽", "主播好👋🏽"),
        ("<script>", "<script>"),
        ("x" * 200, "x" * 200),
    ],
)
def test_text_goes_on_in_nfc_without_blanks_around(given: str, shown: str) -> None:
    """Markup is text; emoji are text."""
    assert chat.read(said(text=given)).text == shown
    assert danmaku.read(said(text=given)).text == shown


@pytest.mark.parametrize(
    "bad",
    [
        "", "   ", "\u200b\u200d", "\u3164", "a\nb", "a\x00", "a\x7f", "tab\t", "\x85", "a\u2028b",
        "x" * 201, "\ud800",
    ],
)  # fmt: skip
def test_text_that_cannot_be_shown_is_refused(bad: str) -> None:
    """Empty, invisible, too long, or with characters that do not belong into a line."""
    with pytest.raises(Invalid):
        text.clean(bad)


@pytest.mark.parametrize(
    "bad",
    [b"", b"{}", b"[]", b"null", b'{"text":1}', b'{"text":"\\ud800"}', b'{"text":"\xff"}', b"{"],
)
def test_what_is_not_a_message_is_refused(bad: bytes) -> None:
    """Whatever comes in is answered with a reason, never with a traceback."""
    with pytest.raises(Invalid):
        chat.read(bad)
    with pytest.raises(Invalid):
        danmaku.read(bad)


@pytest.mark.parametrize(
    "bad",
    [{"mode": "spin"}, {"color": "red"}, {"color": "#fff"}, {"color": "#gggggg"}, {"mode": None}],
)
def test_danmaku_has_a_known_mode_and_a_colour(bad: dict[str, object]) -> None:
    """`scroll`, `top`, `bottom`, and #rrggbb."""
    with pytest.raises(Invalid):
        danmaku.read(said(text="hi", **bad))
    assert danmaku.read(said(text="hi", mode="top", color="#00FF00")).color == "#00ff00"


def test_a_reply_names_a_message() -> None:
    """The id is checked for its form only."""
    assert chat.read(said(text="hi", reply_to="msg_1")).reply_to == "msg_1"
    for bad in ("", "a b", "x" * 65):
        with pytest.raises(Invalid):
            chat.read(said(text="hi", reply_to=bad))


@given(st.binary(max_size=80))
def test_no_bytes_break_the_readers(data: bytes) -> None:
    """A line or a refusal, whatever comes in."""
    for read in (chat.read, danmaku.read):
        try:
            read(data)
        except Invalid as refusal:
            assert refusal.detail


@given(st.text(max_size=250))
def test_clean_text_is_clean_when_cleaned_again(words: str) -> None:
    """Cleaning once is enough, and what passes can be encoded."""
    try:
        once = text.clean(words)
    except Invalid:
        return
    assert text.clean(once) == once and 1 <= len(once) <= 200
    once.encode()


@pytest.mark.parametrize(
    "name", ["Mei", "小明", "Ｍｅｉ", "Ana María", "x" * 24, "Adam", "user 10", "modest"]
)
def test_ordinary_names_pass(name: str) -> None:
    """NFKC, so full-width letters become plain ones."""
    assert names.accept(name) == name.replace("Ｍｅｉ", "Mei")


@pytest.mark.parametrize(
    "name",
    [
        "", " ", "x" * 25, "a\u202eb", "a\u2066b", "a\nb", "admin", "ADMIN", "Аdmin", "4dm1n",
        "a d m i n", "admin_7", "Admin007", "the moderator", "m0derat0r", "ａｄｍｉｎ", "主播小王",
        "官方客服", "ofﬁcial", "ádmin", "\ufdfa" * 3,
        "ᴀᴅᴍɪɴ", "ꓮdmin", "🅰dmin", "🅢🅣🅐🅕🅕",
    ],
)  # fmt: skip
def test_names_that_deceive_are_refused(name: str) -> None:
    """Too long after NFKC, turning the direction of writing, or looking like staff."""
    with pytest.raises(Invalid):
        names.accept(name)


def test_nobody_looks_like_the_shops_own_people() -> None:
    """The names of staff are taken in every shape that the eye reads as theirs."""
    for name in ("Lily", "LILY", "1ily", "L i l y", "Lіly"):
        with pytest.raises(Invalid):
            names.accept(name, staff_names=["Lily"])
    assert names.accept("Lila", staff_names=["Lily"]) == "Lila"


def test_channels_belong_to_namespaces_and_topics() -> None:
    """The built-in ones of a room share its topic; all others are their own."""
    assert channels.split("chat:demo") == ("chat", "demo")
    assert channels.split("a:b:c") == ("a", "b:c")
    assert channels.split("plain") == ("", "plain")
    assert channels.split("#auth0:7") == ("", "#auth0:7")
    assert {channels.topic_of(f"{n}:x") for n in channels.BUILT_IN} == {"x"}
    assert channels.topic_of("#u1") == "#u1" and channels.topic_of("own:x") == "own:x"
    assert len({channels.topic_of(name) for name in ("x", ":x", "::x", "room:x", "own:x")}) == 5
    assert channels.room_of("danmaku:x") == "x" and channels.room_of("#u1") is None


def test_a_hash_names_the_users_of_a_channel() -> None:
    """Only who is named may touch it; a name may itself hold a comma."""
    assert channels.is_open_to("#u1", "u1") and not channels.is_open_to("#u1", "u2")
    assert channels.is_open_to("dialog#u1,u2", "u2") and channels.is_open_to("#a,b", "a,b")
    assert not channels.is_open_to("#u1", "") and not channels.is_open_to("#", "")
    assert channels.is_open_to("own:x", "")


def test_namespaces_come_from_the_settings() -> None:
    """Operators' namespaces beside the built-in ones; `#` follows "" where that is configured."""
    plain = channels.Namespaces()
    assert plain.rules_of("room:x") == channels.ROOM and plain.rules_of("own:x") is None
    assert plain.rules_of("plain") is None and plain.rules_of("#u1") == channels.PERSONAL
    configured = channels.Namespaces(
        {"": {"history_size": 9, "history_ttl_seconds": 60, "recovery": True, "delta": ["fossil"]}}
    )
    rules = configured.rules_of("plain")
    assert rules is not None and (rules.history_size, rules.delta) == (9, ("fossil",))
    assert configured.rules_of("#u1") == rules


def test_all_mistakes_in_namespaces_are_told_at_once() -> None:
    """Built-in names, unknown keys, wrong types and impossible sizes."""
    wrong = {
        "chat": {},
        "a": {"histroy_size": 1},
        "b": {"history_size": "1"},
        "c": {"tick_ms": -1},
        "d": {"recovery": True},
        "e:f": {},
    }
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        channels.Namespaces(wrong)
    assert all(f'namespaces."{name}"' in str(caught.value) for name in wrong)


def test_times_are_rfc3339_with_milliseconds() -> None:
    """UTC, three digits, a Z."""
    assert rfc3339(1_790_000_000_007) == "2026-09-21T14:13:20.007Z"
