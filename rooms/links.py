"""
Whether a line holds an address that a browser would open.

What a browser reads as a host is decided by UTS 46: any width and case, the stop of Chinese
(U+3002) as a dot, characters that show nothing passed over. What people write is full of dots too:
prices, versions, times, lists ("1.tv"), sentences without a blank ("好的.谢谢", "加油。中国必胜").
So an ending that is also a word counts only after a dot proper, one that means nothing else after
every dot, and any ending at all where a path or a port follows it.
"""

import re
import unicodedata

_END = "(?![a-z0-9])"
_REST = r"(?:/[a-z0-9]|:\d{2,5}(?!\d))"  # the beginning of a path, or a port

#: endings that are no words: each makes an address after any dot
_PLAIN = "com|cn|net|org|edu|gov|biz|mobi|xyz|icu|cc|io|tk|ru|hk|tw|ly|gl"
#: endings that are words too, or ways to write one
_WORDS = "top|vip|shop|me|info|tv|co|app|link|site|website|club|online|store|live|win|de|uk|jp"
#: endings that people also write after a dot, or for which they leave out the blank after one
_OTHERS = (
    "ai|art|asia|bar|bio|cafe|chat|click|cloud|cool|dev|email|fun|fyi|gift|group|host|ink|law|life"
    "|love|ltd|mall|media|name|news|one|page|pro|pub|red|ren|run|sale|show|social|space|studio|tech"
    "|today|video|wang|wiki|work|works|world|xin|yoga|zip|zone"
)
#: of countries, as IANA lists them
_COUNTRIES = (
    "a[cdefgilmoqrstuwxz]|b[abdefghijmnorstvwyz]|c[acdfghiklmnoruvwxyz]|d[ejkmoz]|e[ceghrstu]"
    "|f[ijkmor]|g[abdefghilmnpqrstuwy]|h[kmnrtu]|i[delmnoqrst]|j[emop]|k[eghimnprwyz]"
    "|l[abcikrstuvy]|m[acdeghkmlnopqrstuvwxyz]|n[acefgilopruz]|om|p[aefghklmnrstwy]|qa|r[eosuw]"
    "|s[abcdeghijklmnorstuvxyz]|t[cdfghjklmnortvwz]|u[agksyz]|v[aceginu]|w[fs]|y[et]|z[amw]"
)
#: in other scripts; after a dot proper, and where the word ends there
_NATIVE = (
    "中国|中國|公司|网络|網絡|网址|网站|网店|商城|集团|中文网"
    "|рф|укр|сайт|онлайн|한국|닷컴|닷넷|コム|xn--[a-z0-9-]+"
)  # fmt: skip
#: which are said as well
_NATIVE_WORDS = (
    "香港|台湾|台灣|澳門|澳门|新加坡|在线|手机|移动|商店|购物|我爱你|世界|广东|信息|企业|游戏|娱乐"
)

#: before an ending that is a word: not the number in a list ("1.tv")
_NAME = r"(?:(?<=[a-z-]\.)|(?<=[a-z]\d\.)|(?<=[a-z]\d\d\.)|(?<=\d{3}\.))"

# They begin with the dot and what comes next, which makes them quick searches.
_HOST = re.compile(
    rf"[.。](?=[a-z])(?:(?<=[a-z0-9-].)(?:{_PLAIN}){_END}|(?<=\w\.)(?:{_PLAIN}){_END}"
    rf"|{_NAME}(?:{_WORDS}){_END}"
    rf"|(?<=\w.)(?:{_PLAIN}|{_WORDS}|{_OTHERS}|{_COUNTRIES}){_REST})"
)
_FIRST = "".join({ending[0] for ending in f"{_NATIVE}|{_NATIVE_WORDS}".split("|")})
_NATIVE_HOST = re.compile(
    rf"[.。](?=[{_FIRST}])(?:(?<=\w\.)(?:{_NATIVE})(?!\w)"
    rf"|(?<=\w.)(?:{_NATIVE}|{_NATIVE_WORDS}){_REST})"
)
_WWW = re.compile(r"(?<![a-z0-9])www[.。]\w")
_BYTE = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_QUAD = rf"(?<![a-z0-9.]){_BYTE}(?:[.。]{_BYTE}){{3}}"
#: four small numbers alone are the things on the shelf, or a version
_NUMBERS = re.compile(rf"{_QUAD}(?:/[a-z]|:\d{{2,5}}(?!\d))|(?=[\d.。]*\d{{3}}){_QUAD}(?![.。]?\d)")
#: UTS 46 passes over these inside a host
_UNSEEN = re.compile("[\u00ad\u034f\u200b-\u200d\u2060-\u2064\ufe00-\ufe0f\ufeff]")


def has_link(line: str) -> bool:
    """Whether a text holds an address, however it is written."""
    normal = line if line.isascii() else unicodedata.normalize("NFKC", line)
    if "." not in normal and "。" not in normal and "://" not in normal:
        return False
    if not normal.isascii():
        normal = _UNSEEN.sub("", normal)
    lower = normal.lower()
    return (
        "://" in lower
        or _HOST.search(lower) is not None
        or _NATIVE_HOST.search(lower) is not None
        or ("www" in lower and _WWW.search(lower) is not None)
        or (lower.count(".") + lower.count("。") >= 3 and _NUMBERS.search(lower) is not None)
    )
