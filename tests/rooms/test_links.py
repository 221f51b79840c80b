"""Which lines hold an address, and which only dots."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rooms.links import has_link

ADDRESSES = (
    "see https://example.org/x",
    "https：//a.b",
    "ＷＷＷ．ｓｈｏｐ．ｃｏｍ",
    "看www.例子.xx",
    "tea-house.shop is ours",
    "bit.ly/3x",
    "t.me/abc",
    "3.cn/abc",
    "188.vip",
    "evil.de:8080",
    "evil.example.co.uk",
    "EVIL.COM.",
    "evil。com/abc",
    "ｅｖｉｌ｡ｃｏｍ",
    "evil․com",  # U+2024
    "ev\u200bil.c\u200bom",
    "evil.\u00adcom",
    "看evil.com快来",
    "淘宝.com",
    "例子.中国",
    "例子。中国/a",
    "пример.рф",
    "例子.xn--fiqs8s",
    "1.2.3.4:80",
    "1。2。3。4:8080",
    "1.2.3.4/abc",
    "192.168.1.1",
)
PLAIN = (
    "3.5折",
    "3.5 or 4.0?",
    "well...come",
    "价格是9.9元",
    "¥9.9/件，9.9元/斤，0.5kg/箱，1.2米/1.5米",
    "v1.2",
    "v1.2.3.4",
    "120.0.6099.129",
    "1.2.3.4号都要",
    "1.2.3.4",
    "12.30开始，12:30.",
    "2026.11.22",
    "10.1-10.7 99.9% 1.5L",
    "1.tv 2.冰箱",
    "满100.减20",
    "...",
    "……。。。",
    "好的.谢谢",
    "周六.周日",
    "加油。中国必胜",
    "好看。我爱你",
    "买了iphone。app很好",
    "node.js No.1 U.S.A. Mr.Li",
    "e.g. this, i.e.this",
    "tea.and/or",
    ":) .. //",
)


@pytest.mark.parametrize("text", ADDRESSES)
def test_an_address_is_seen_however_it_is_written(text: str) -> None:
    """Any dot, width, case and script that browsers open; a short link, a number, a port."""
    assert has_link(text)


@pytest.mark.parametrize("text", PLAIN)
def test_ordinary_dots_are_no_address(text: str) -> None:
    """Prices, versions, times, lists, and sentences without a blank between them."""
    assert not has_link(text)


LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
WRITINGS = st.sampled_from(
    [
        str,
        str.upper,
        lambda host: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in host),
        lambda host: "\u200b".join(host),
    ]
)


@given(
    labels=st.lists(LABELS, min_size=1, max_size=3),
    ending=st.sampled_from(["com", "cn", "net", "ly/a", "shop/a", "gg/a", "li:8080", "中国/a"]),
    dot=st.sampled_from(".。．｡․﹒"),
    writing=WRITINGS,
    around=st.sampled_from([("", ""), ("加我", "快来"), ("go ", " now"), ("（", "）。")]),
)
def test_a_host_is_an_address_after_any_dot(
    labels: list[str], ending: str, dot: str, writing: type[str], around: tuple[str, str]
) -> None:
    """Whatever stands around it, in any width and case, with invisible characters inside."""
    before, after = around
    assert has_link(before + writing(dot.join([*labels, ending])) + after)


WORDS = st.sampled_from(
    [
        "好看",
        "谢谢老板",
        "中国",
        "我爱你",
        "已拍",
        "nice",
        "号链接",
        "元",
        "折",
        "/件",
        "ok",
        "拍了",
    ]
)
NUMBERS = st.one_of(
    st.integers(0, 9_999).map(str),
    st.decimals(0, 999, places=2).map(str),
    st.times().map(lambda time: time.strftime("%H:%M")),
    st.dates().map(lambda date: date.strftime("%Y.%m.%d")),
    st.tuples(st.integers(0, 20), st.integers(0, 99)).map(lambda v: f"v{v[0]}.{v[1]}"),
)
STOPS = st.sampled_from(["。", "。。。", "...", "……", "，", ". ", "！"])


@given(st.lists(st.one_of(st.tuples(WORDS, STOPS), st.tuples(NUMBERS, WORDS)), max_size=8))
def test_talk_of_words_and_numbers_is_no_address(parts: list[tuple[str, str]]) -> None:
    """Sentences, prices, dates and times in any order."""
    assert not has_link("".join(one + other for one, other in parts))
