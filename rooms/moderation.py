"""
Who may say what in a room: the rules, as pure functions over what is on record.

Every refusal carries the stable name of its reason, so that pages can say it in their reader's
language, and where it ends, when that is:

    banned       this person may not speak, throw or like here      muted        not until `until`
    room-muted   nobody but staff may speak                         slow-mode    wait `retry_after`
    too-fast     more messages than a person types                  repeated     the same again
    flood        many say nearly the same                           link         links are off
    word         a word of the room's lists                         busy         see `talk_service`

None of them looks at what somebody thinks of the goods.
"""

from typing import Any, Literal

import msgspec

from rooms import text
from rooms.errors import Forbidden, Invalid, Refusal, TooFast
from rooms.folding import Folding
from rooms.room import ChatRules
from rooms.times import rfc3339
from rooms.words import WordList

MUTE_SECONDS_MAX = 30 * 24 * 3600
SLOW_MODE_SECONDS_MAX = 3600
REASON_LENGTH_MAX = 200
USER_LENGTH_MAX = 255  # characters of a token's `sub`
UNREASONED_SECONDS = 3600  # a longer mute needs a reason
STAFF_BADGES = frozenset({"streamer", "moderator", "admin"})

Kind = Literal["mute", "ban"]

#: what people are muted, banned and reported for, and messages deleted; pages offer these
REASONS = ("spam", "abuse", "fraud", "sexual", "violence", "privacy", "minors", "illegal", "other")

#: folded; what somebody thinks of the goods is no reason (E-commerce law of the PRC, Art. 39)
_OPINIONS = (
    "critic", "criticism", "negativereview", "badreview", "negativecomment", "complain", "差评",
    "负面", "批评", "不利评价", "说坏话",
)  # fmt: skip


class Sanction(msgspec.Struct, frozen=True, kw_only=True):
    """One person who may not speak in a room. `until` None: until it is lifted."""

    user: str
    name: str = ""  # as last shown, for staff who read the list
    until: int | None = None  # milliseconds
    reason: str = ""
    by: str = ""
    at: int = 0


class Standing(msgspec.Struct, frozen=True):
    """What is on record about speaking in one room."""

    rules: ChatRules
    mutes: dict[str, int]  # user -> until, milliseconds
    bans: frozenset[str]


def check_may_speak(standing: Standing, user: str, now: int) -> None:
    """Return if nothing on record keeps `user` from speaking. Raises Forbidden with a reason."""
    if user in standing.bans:
        raise Forbidden("You may not speak in this room", reason="banned")
    until = standing.mutes.get(user, 0)
    if until > now:
        raise Forbidden(
            f"You are muted until {rfc3339(until)}", reason="muted", until=rfc3339(until)
        )
    if standing.rules.muted_all:
        raise Forbidden("Only staff may speak right now", reason="room-muted")


def slow_mode_wait(rules: ChatRules, last: int | None, now: int) -> int:
    """Milliseconds until who spoke at `last` may speak again; 0 = now."""
    if not rules.slow_mode_seconds or last is None:
        return 0
    return min(max(0, last + rules.slow_mode_seconds * 1000 - now), rules.slow_mode_seconds * 1000)


def wait(detail: str, reason: str, wait_ms: int) -> Refusal:
    """The refusal of something that may be said a little later."""
    seconds = max(1, -(-wait_ms // 1000))
    return TooFast(f"{detail}; wait {seconds} s", reason=reason, retry_after=seconds)


def changed_rules(rules: ChatRules, changes: dict[str, Any]) -> ChatRules:
    """The rules with these changes. Raises Invalid."""
    new = msgspec.structs.replace(rules, **changes)
    if not 0 <= new.slow_mode_seconds <= SLOW_MODE_SECONDS_MAX:
        raise Invalid(f"slow_mode_seconds is 0 to {SLOW_MODE_SECONDS_MAX}")
    return new


def check_reason(reason: str, folding: Folding) -> str:
    """
    The reason cleaned; empty is `other`.

    Raises:
        Invalid: It says that somebody was critical of the product: that is no reason here.
    """
    if not reason.strip():
        return "other"
    cleaned = text.clean(reason, longest=REASON_LENGTH_MAX, what="The reason")
    key = folding.key(cleaned)
    if any(opinion in key for opinion in _OPINIONS):
        raise Invalid("What somebody thinks of the goods is no reason to silence anybody")
    return cleaned


def check_target(user: str, actor: str) -> str:
    """Whom staff act on. Raises Invalid."""
    if not 0 < len(user) <= USER_LENGTH_MAX or not user.isprintable():
        raise Invalid(f"A user is 1 to {USER_LENGTH_MAX} visible characters")
    if user == actor:
        raise Invalid("That is you")
    return user


def check_mute_seconds(seconds: int, reason: str) -> int:
    """For how long. Raises Invalid."""
    if not 1 <= seconds <= MUTE_SECONDS_MAX:
        raise Invalid(f"seconds is 1 to {MUTE_SECONDS_MAX}")
    if seconds > UNREASONED_SECONDS and not reason.strip():
        raise Invalid("A mute of more than an hour needs a reason")
    return seconds


class Lists(msgspec.Struct, frozen=True):
    """The word lists of a room (or of the server), and the mark of this version of them."""

    revision: str
    lists: list[WordList]
