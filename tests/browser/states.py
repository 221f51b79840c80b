"""The table of pages and states in tests/states.md, and what the pages' own code says of states."""

import json
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "static"
TABLE = ROOT / "tests" / "states.md"
LANGUAGES = ("zh-CN", "en")

#: Keys of the catalogue that are a state of a page: connections, empty places, ends, refusals.
#: Each stands in a row. The catalogue holds no key that no module uses (tests/static).
STATES = re.compile(
    r"connection\..+|(?!shop\.|common\.|buy\.).+\.(none|empty|missing|missing_text|sign_in|not_yours)"
    r"|lobby\.none_live|show\.closed"
    r"|.+\.no_(orders|products|sales|deliveries|device|picture)|console\.(shelf_empty|nothing_granted)"
    r"|chat\.(banned|expired|joining|muted_all|muted_until|offline|skipped)"
    r"|video\.(connecting|away|full)|room\.(live|idle_text|ended_text)"
    r"|rehearsal\.(on|over_text|refused|sale|text)"
    r"|flash\.(upcoming|ends_in|sold_out|ended|cancelled|mine_reserved|mine_paid)"
    r"|line\.(waiting|turn|passed|missed)|order\.(hint_.+|completed|refunded|cancelled|reserved)"
    r"|reason\.(banned|link|muted|name|repeated|slow-mode|word)"
    r"|buy\.(done_text|paid_text|price_changed|resume_refused)"
    r"|problem\.(network|sold-out|limit-exceeded)|golive\.(not_allowed|no_device|live|lost)"
    r"|webhook\.(failing|disabled|failed)|login\.wrong|setup\.(link_used|first_lead)|act\.cut"
    r"|show\.(runs|ended)|prompter\.nothing"
)  # fmt: skip


class State(NamedTuple):
    """One row: `words` are the keys of the texts by which people know that they are there."""

    page: str
    name: str
    words: tuple[str, ...]
    how: str

    @property
    def id(self) -> str:
        return f"{self.page}-{self.name}"


@cache
def table() -> dict[str, State]:
    """The rows of tests/states.md by id."""
    found = {}
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) != 4 or cells[0] in ("page", "---"):
            continue
        words = tuple(re.findall(r"`([^`]+)`", cells[2]))
        state = State(cells[0], cells[1], words, cells[3])
        assert state.id not in found, f"two rows for {state.id}"
        found[state.id] = state
    return found


@cache
def catalogue(language: str) -> dict[str, str | dict[str, str]]:
    file = STATIC / "js" / "i18n" / f"{language}.json"
    words: dict[str, str | dict[str, str]] = json.loads(file.read_text(encoding="utf-8"))
    return words


def pattern(key: str, language: str) -> re.Pattern[str]:
    """What a text looks like on the page: any of its plural forms, its places filled."""
    value = catalogue(language)[key]
    forms = [value] if isinstance(value, str) else list(value.values())
    filled = [re.sub(r"\\\{\w+\\\}", ".+?", re.escape(form.strip())) for form in forms]
    return re.compile("|".join(filled), re.IGNORECASE)


def known_words() -> set[str]:
    """The states that the pages' texts name."""
    return {key for key in catalogue("en") if STATES.fullmatch(key)}


def known_pages() -> set[str]:
    return {file.stem for file in STATIC.glob("*.html")}
