"""The pure rules of moderation: folding, word lists, buckets, repeats, slow mode, audit chain."""

import random
import unicodedata

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liveserver.simplified import simplified
from rooms import alike as alike_module
from rooms import audit
from rooms.alike import LONG_TIMES, ROOM_TIMES, SHORT_TIMES, WINDOW_MS, Alike
from rooms.audit import Deed
from rooms.buckets import Buckets
from rooms.errors import Forbidden, Invalid
from rooms.folding import Folding
from rooms.moderation import (
    REASONS,
    Standing,
    check_may_speak,
    check_mute_seconds,
    check_reason,
    check_target,
    slow_mode_wait,
)
from rooms.room import ChatRules
from rooms.words import MASK, Filter, Found, WordList, check_lists, judge

FOLDING = Folding(simplified())
TEXTS = st.text(max_size=60).filter(lambda text: text.isprintable())
NOW = 1_790_000_000_000


# --- folding ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Ｗ e·Ｃhat", "wechat"),
        ("茶壺", "茶壶"),
        ("①⑨ 一九 １９ ١٩", "19191919"),
        ("w\u200be\u200dchat", "wechat"),
        ("wéçhàt", "wechat"),
        ("wесhаt", "wechat"),  # е, с, а of the Cyrillic alphabet
        ("ＷＥＣＨＡＴ", "wechat"),
        ("ᴡᴇᴄʜᴀᴛ ꓪꓰꓚꓧꓮꓔ", "wechatwechat"),  # small capitals, Lisu
        ("🆆🅴🅲🅷🅰🆃 🅦🅔🅒🅗🅐🅣", "wechatwechat"),
        ("が か", "がか"),  # another mark, another letter
        ("!?… 🎉", ""),
    ],
)
def test_a_text_folds_to_what_the_eye_keeps(text: str, key: str) -> None:
    """Case, width, script, marks and signs do not hide a word."""
    assert FOLDING.key(text) == key


@given(TEXTS)
def test_folding_again_changes_nothing_and_every_place_leads_back(text: str) -> None:
    """The key is its own key, and each of its characters comes from one of the text, in order."""
    key = FOLDING.key(text)
    assert FOLDING.key(key) == key
    places = FOLDING.places(text)
    assert len(places) == len(key) and places == sorted(places)
    assert "".join(FOLDING.key(text[place]) for place in dict.fromkeys(places)) == key


@given(TEXTS)
def test_width_and_case_make_no_difference(text: str) -> None:
    """Latin text in full width, upper or lower case folds alike."""
    latin = "".join(c for c in text if c.isascii())
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in latin)
    assert FOLDING.key(latin.upper()) == FOLDING.key(latin.lower()) == FOLDING.key(wide)


# --- word lists ------------------------------------------------------------------------------


def found(text: str, *lists: WordList) -> Found:
    return judge([Filter(lists, FOLDING)], text, FOLDING.key(text))


def words(action: str, *listed: str, name: str = "") -> WordList:
    return msgspec.convert(
        {"name": name or action, "action": action, "words": list(listed)}, WordList
    )


def test_a_word_is_found_however_it_is_written_and_masked_where_it_stands() -> None:
    """Signs between, width, traditional characters: the text as written gets the mask."""
    assert found("加我 微·信 吧", words("mask", "微信")).text == "加我 *** 吧"
    assert found("這個茶壺好", words("mask", "茶壶")).text == "這個**好"
    assert found("ＷｅＣｈａｔ me", words("mask", "wechat")).text == "****** me"
    assert found("w e c h a t", words("refuse", "wechat")).action == "refuse"


def test_words_far_apart_are_two_words() -> None:
    """More than two signs between two characters do not make a word of them."""
    assert found("微 ……… 信", words("refuse", "微信")).action == "pass"


def test_latin_words_are_whole_words_unless_the_list_says_otherwise() -> None:
    """No list of curses eats a town or a harmless sentence."""
    lists = words("refuse", "shit", "ass*")
    for fine in ("this hit was good", "Shitake soup", "a class of tea"):
        assert found(fine, lists).action == "pass", fine
    for foul in ("SHIT!", "好shit好", "assorted"):
        assert found(foul, lists).action == "refuse", foul


def test_exceptions_win_and_the_hardest_action_decides() -> None:
    """A `pass` word around a hit takes it away; refuse is harder than hold, hold than mask."""
    lists = [words("mask", "茶"), words("hold", "茶壶"), words("pass", "红茶壶")]
    assert found("一把红茶壶", *lists).action == "pass"
    assert found("一把茶壶", *lists) == Found("hold", "一把*壶", "hold")
    assert found("一把茶壶", *lists, words("refuse", "一把")).action == "refuse"
    apart = [Filter([lists[0]], FOLDING), Filter([lists[2]], FOLDING)]
    assert judge(apart, "红茶壶", "红茶壶") == Found("pass", "红茶壶")


@given(TEXTS, st.lists(st.text(min_size=1, max_size=4), max_size=5))
def test_a_mask_hides_only_what_the_lists_name(text: str, listed: list[str]) -> None:
    """The text keeps its length; what is not masked stays as it was."""
    usable = [word for word in listed if FOLDING.key(word)]
    result = found(text, words("mask", *usable))
    assert len(result.text) == len(text)
    for before, after in zip(text, result.text, strict=True):
        assert after in (before, MASK)
    assert (result.action == "mask") == (result.list == "mask")


def test_lists_are_checked() -> None:
    """Words that could never be found, twice the same name, too much of anything."""
    for wrong in (
        [words("mask", "!!")],
        [words("mask", "  ")],
        [words("mask", "a", name="x"), words("hold", "b", name="x")],
        [words("mask", "x" * 65)],
        [words("mask", *(f"w{n}" for n in range(50_001)))],
        [words("mask", "a", name=str(n)) for n in range(21)],
    ):
        with pytest.raises(Invalid):
            check_lists(wrong, FOLDING)
    assert check_lists([words("mask", " a ", "a", "b")], FOLDING)[0].words == ["a", "b"]


def test_fifty_thousand_words_are_found_one_by_one() -> None:
    """A large list finds its first, its middle and its last word, and nothing else."""
    many = [f"w{n}x" for n in range(50_000)]
    large = Filter([words("refuse", *many)], FOLDING)
    for word in (many[0], many[25_000], many[-1]):
        assert judge([large], f"a {word} b", FOLDING.key(f"a {word} b")).action == "refuse"
    assert judge([large], "w50000x", "w50000x").action == "pass"


# --- buckets and slow mode -------------------------------------------------------------------


@given(
    burst=st.integers(1, 10),
    interval=st.integers(1, 2_000),
    steps=st.lists(st.integers(0, 3_000), min_size=1, max_size=60),
)
def test_a_bucket_never_gives_more_than_its_rate(
    burst: int, interval: int, steps: list[int]
) -> None:
    """In any stretch at most `burst` and what has dripped in; who waits as told is let in."""
    bucket, now, taken = Buckets(burst=burst, interval_ms=interval), NOW, list[int]()
    for step in steps:
        now += step
        wait = bucket.take("one", now)
        if wait == 0:
            taken.append(now)
        else:
            assert 0 < wait <= interval
            now += wait
            assert bucket.take("one", now) == 0
            taken.append(now)
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            passed = taken[last] - taken[first]
            assert last - first + 1 <= burst + passed // interval


def test_a_clock_that_jumps_back_locks_nobody_out() -> None:
    """After a jump of an hour the longest wait is that of an empty bucket."""
    bucket = Buckets(burst=2, interval_ms=1_000)
    assert [bucket.take("one", NOW) for _ in range(3)][:2] == [0, 0]
    assert bucket.take("one", NOW - 3_600_000) <= 1_000
    assert bucket.take("other", NOW - 3_600_000) == 0


@given(st.integers(0, 3600), st.integers(-10_000, 4_000_000))
def test_slow_mode_lets_in_who_has_waited(seconds: int, passed: int) -> None:
    """Never longer than the rule says, and never again once it has passed."""
    wait = slow_mode_wait(ChatRules(slow_mode_seconds=seconds), NOW, NOW + passed)
    assert 0 <= wait <= seconds * 1000
    if passed >= 0:
        assert (wait == 0) == (passed >= seconds * 1000)
        assert wait in (0, seconds * 1000 - passed)
    assert slow_mode_wait(ChatRules(slow_mode_seconds=seconds), None, NOW) == 0


# --- repeats ---------------------------------------------------------------------------------


def test_one_person_may_cheer_but_not_repeat_a_text() -> None:
    """Short texts a few times, long ones twice, with another tail as well; later again."""
    alike = Alike()
    assert [alike.again("u", "666", NOW) for _ in range(SHORT_TIMES + 1)][-2:] == [None, "repeated"]
    texts = [f"加我的号买同款便宜一半的好茶{tail}" for tail in "abc"]
    assert [alike.again("u", text, NOW) for text in texts] == [None] * LONG_TIMES + ["repeated"]
    assert alike.again("v", texts[0], NOW) is None
    assert alike.again("u", "完全不同的一句话说给大家听", NOW) is None
    assert alike.again("u", texts[2], NOW + WINDOW_MS + 1) is None


def test_a_crowd_with_one_text_is_a_flood_and_a_cheering_one_is_not() -> None:
    """Whoever sends it and whatever its tail; short cheers and laughter pass."""
    alike = Alike()
    text = "全网最低价加我的微信号领取大礼包{}号"
    results = [alike.again(f"u{n}", text.format(n), NOW + n) for n in range(ROOM_TIMES + 5)]
    assert results[:ROOM_TIMES] == [None] * ROOM_TIMES and results[-1] == "flood"
    for n in range(100):
        assert alike.again(f"v{n}", "好看好看", NOW + n) is None
        assert alike.again(f"w{n}", "哈" * 30, NOW + n) is None
    assert alike.again("late", text.format(1), NOW + 60_000) is None


@given(seed=st.integers(0, 2**32))
def test_a_flood_is_seen_in_every_process(seed: int) -> None:
    """Python's hashes differ from process to process: any choice of them finds a changed tail."""
    alike, hashes = Alike(), random.Random(seed)
    known: dict[str, int] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            alike_module, "hash", lambda pair: known.setdefault(pair, hashes.getrandbits(61)), False
        )
        texts = [f"全网最低价加我的微信号领取大礼包{n}号" for n in range(ROOM_TIMES + 5)]
        results = [alike.again(f"u{n}", text, NOW + n) for n, text in enumerate(texts)]
    assert results == [None] * ROOM_TIMES + ["flood"] * 5


def test_what_was_not_shown_after_all_may_be_said_again() -> None:
    alike = Alike()
    for _ in range(5):
        assert alike.again("u", "这一句话没有发出去请再试一次", NOW) is None
        alike.forget("u", "这一句话没有发出去请再试一次")


@given(st.lists(st.tuples(st.sampled_from("ab"), TEXTS, st.integers(-5_000, 20_000)), max_size=40))
def test_repeats_hold_for_any_texts_and_clocks(said: list[tuple[str, str, int]]) -> None:
    """A first text always passes; a text that was refused is not remembered as said."""
    alike, now = Alike(), NOW
    for who, text, step in said:
        now += step
        key = FOLDING.key(text)
        if alike.again(who, key, now) is not None:
            assert len([1 for one, other, _ in said if (one, other) == (who, text)]) >= 1
    assert alike.again("new", FOLDING.key("erste Worte"), now) is None


# --- who may speak ---------------------------------------------------------------------------


def test_a_ban_a_mute_and_a_full_mute_each_say_their_reason() -> None:
    """The stable name goes with the refusal; an ended mute is none."""
    standing = Standing(ChatRules(), {"m": NOW + 1, "over": NOW}, frozenset({"b"}))
    assert check_may_speak(standing, "over", NOW) is None
    full = msgspec.structs.replace(standing, rules=ChatRules(muted_all=True))
    for who, where, reason in (
        ("b", standing, "banned"),
        ("m", standing, "muted"),
        ("anyone", full, "room-muted"),
    ):
        with pytest.raises(Forbidden) as refusal:
            check_may_speak(where, who, NOW)
        assert refusal.value.facts["reason"] == reason


def test_criticism_is_no_reason() -> None:
    """Neither in the list that pages offer nor in words of one's own."""
    assert not any("critic" in reason for reason in REASONS)
    for wrong in (
        "Critical of the product",
        "差評",
        "bad review",
        "ＣＲＩＴＩＣＩＳＭ",
        "负面 评价",
    ):
        with pytest.raises(Invalid):
            check_reason(wrong, FOLDING)
    assert check_reason("", FOLDING) == "other"
    assert check_reason(" sells fakes ", FOLDING) == "sells fakes"


def test_nobody_acts_on_themselves_and_long_mutes_have_reasons() -> None:
    for call in (
        lambda: check_target("me", "me"),
        lambda: check_target("", "me"),
        lambda: check_target("x" * 256, "me"),
        lambda: check_mute_seconds(0, "spam"),
        lambda: check_mute_seconds(31 * 24 * 3600, "spam"),
        lambda: check_mute_seconds(3601, " "),
    ):
        with pytest.raises(Invalid):
            call()


# --- the audit chain -------------------------------------------------------------------------


def test_a_changed_removed_or_inserted_entry_breaks_the_chain() -> None:
    """The first wrong entry is named."""
    chain, previous = [], audit.FIRST
    for number in range(1, 6):
        deed = Deed(actor="mod", role="moderator", action="mute", target=f"u{number}")
        chain.append(audit.entry(deed, "tea", number, NOW + number, previous))
        previous = chain[-1].hash
    assert audit.first_broken("tea", chain) is None
    assert audit.first_broken("other", chain) == 1
    changed = [*chain]
    changed[2] = msgspec.structs.replace(chain[2], target="somebody else")
    assert audit.first_broken("tea", changed) == 3
    assert audit.first_broken("tea", [*chain[:2], *chain[3:]]) == 4
    forged = audit.entry(Deed(actor="x", role="admin", action="ban"), "tea", 3, NOW, chain[1].hash)
    assert audit.first_broken("tea", [*chain[:2], forged, *chain[3:]]) == 4


def test_normal_text_of_a_live_room_keeps_its_letters() -> None:
    """The folding never makes two everyday words of Chinese equal by accident of its tables."""
    everyday = "家人们这个茶壶真的好看吗多少钱包邮么拍了已付款"
    assert FOLDING.key(everyday) == everyday == unicodedata.normalize("NFKC", everyday)
