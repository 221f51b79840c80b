"""What the pages ask of the server is documented: routes, RPC methods and channels."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from liveserver.web.asyncapi import RPC, asyncapi
from liveserver.web.openapi import openapi
from liveserver.web.table import ROUTES

JS = Path(__file__).resolve().parents[2] / "static" / "js"
MODULES = sorted(JS.rglob("*.js"))

#: functions of the pages -> the method they send
METHODS = {
    "get": "GET", "read": "GET", "fetch": "GET", "post": "POST", "once": "POST", "Whip": "POST",
    "patch": "PATCH", "put": "PUT", "remove": "DELETE",
}  # fmt: skip
#: addresses of the API; the others are pages
API = re.compile(r"/(v1|api|whip|whep|connection|emulation)(/|$)")
#: what may stand where a module fills in a word of the route; the words stand in the module
FILLED = {
    "desk/order.js": ("ship", "complete", "refund", "mark-paid"),
    "moderation/api.js": ("mutes", "bans"),
}
#: ways to the network -> the modules that may use them
WAYS = {
    r"(?<![.\w])(?<!async )fetch\(": {
        "api.js",
        "config.js",
        "i18n.js",
        "video/whep.js",
        "video/whip.js",
    },
    r"\bXMLHttpRequest\b": {"plain.js"},
    r"\bnew Centrifuge\(": {"socket.js"},
    r"\bWebSocket\(|\bEventSource\(|sendBeacon\(|importScripts\(|\bnew Worker\(": set(),
}
HOLE = "§"


class Asked(NamedTuple):
    """One address in a module; a hole is what the module fills in."""

    module: str
    method: str
    path: str


def code(module: Path) -> str:
    """The source without comments; every `${…}` of a template is a hole."""
    text = re.sub(r"/\*.*?\*/", "", module.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = re.sub(r"(^|\s)//[^\n]*", r"\1", text)
    while (filled := re.sub(r"\$\{[^{}]*\}", HOLE, text)) != text:
        text = filled
    return text


def asked(module: Path) -> Iterator[Asked]:
    """Every address that stands in the module."""
    name = module.relative_to(JS).as_posix()
    found = re.finditer(
        r"(?:(\w+)\(\s*)?(?:\"([A-Z]+)\",\s*)?(?:path)?[`\"](/[a-z][^`\"]*)", code(module)
    )
    for function, method, address in (one.groups() for one in found):
        path = address.split("?")[0]
        if function != "startsWith" and path != "/":
            yield Asked(name, method or METHODS.get(function or "", "GET"), path)


def fits(asked: str, route: str) -> bool:
    """Whether an address with holes is one of this route."""
    theirs, ours = asked.split("/"), route.split("/")
    last = theirs[-1]
    if len(theirs) != len(ours) and not asked.endswith("/"):
        return False
    pairs = list(zip(theirs, ours, strict=False))
    if last.endswith(".") or asked.endswith("/"):  # what follows is added to it
        pairs = pairs[:-1]
        if not ours[len(pairs)].startswith((last, "{")):
            return False
    return all(our.startswith("{") or mine == our for mine, our in pairs)


def spelled(one: Asked) -> list[str]:
    """The address, once for each word that the module may fill into it."""
    words = FILLED.get(one.module, ())
    if not words or fits_any(one, one.path):
        return [one.path]
    return [one.path[:at] + word + one.path[at + 1 :] for at in holes(one.path) for word in words]


def holes(path: str) -> list[int]:
    """Where a word may be missing: after a hole that is an id, the next one is a word."""
    places = [at for at, sign in enumerate(path) if sign == HOLE]
    return places[1:2]


def fits_any(one: Asked, path: str) -> bool:
    return any(method == one.method and fits(path, route) for method, route in documented())


@cache
def documented() -> set[tuple[str, str]]:
    paths: dict[str, dict[str, Any]] = openapi(ROUTES, "0")["paths"]
    return {(method.upper(), path) for path, methods in paths.items() for method in methods}


ASKED = [one for module in MODULES for one in asked(module)]
TO_API = [one for one in ASKED if API.match(one.path)]
TO_PAGES = [one for one in ASKED if not API.match(one.path)]


def test_the_addresses_are_found() -> None:
    """The reading sees what it should: every text that names the API, and enough of them."""
    named = sum(len(re.findall(r"[`\"]/v1/", code(module))) for module in MODULES)
    assert len([one for one in TO_API if one.path.startswith("/v1/")]) == named > 80


def test_what_a_control_asks_is_documented() -> None:
    """Method and path of every request that a module can send stand in the OpenAPI document."""
    unknown = {
        f"{one.module}: {one.method} {path}"
        for one in TO_API
        for path in spelled(one)
        if not fits_any(one, path)
    }
    assert unknown == set()


def test_an_undocumented_route_would_be_seen() -> None:
    """The comparison can fail: another method, another word, another depth."""
    for method, path in (
        ("PUT", "/v1/orders"),
        ("GET", "/v1/order"),
        ("POST", "/v1/orders/§/gift"),
    ):
        assert not fits_any(Asked("orders-api.js", method, path), path)


def test_words_that_are_filled_in_stand_in_their_module() -> None:
    for module, words in FILLED.items():
        text = (JS.parent / "js" / module).read_text(encoding="utf-8")
        folder = "\n".join(file.read_text() for file in (JS / module).parent.glob("*.js"))
        assert [word for word in words if f'"{word}"' not in text + folder] == []


def test_links_lead_to_pages_that_there_are() -> None:
    pages = {route.path for route in ROUTES if route.method == "GET"}
    lost = [one for one in TO_PAGES if not any(fits(one.path, page) for page in pages)]
    assert [one for one in lost if not (JS.parents[1] / one.path[1:]).is_file()] == []


@pytest.mark.parametrize("way", WAYS)
def test_nothing_else_reaches_the_network(way: str) -> None:
    """Requests leave by the modules that name their failures; nothing slips by this test."""
    users = {m.relative_to(JS).as_posix() for m in MODULES if re.search(way, code(m))}
    assert users == WAYS[way]


def test_rpc_methods_and_channels_are_documented() -> None:
    text = "\n".join(code(module) for module in MODULES)
    methods = set(re.findall(r"\brpc\(\"([\w.]+)\"", text))
    assert methods and methods - set(RPC) == set()
    channels = set(re.findall(r"newSubscription\(`(\w+):", text))
    known = {name.split(":")[0] for name in map(str, asyncapi("0")["channels"])}
    known |= {str(c.get("address", "")).split(":")[0] for c in asyncapi("0")["channels"].values()}
    assert channels and channels - known == set()
