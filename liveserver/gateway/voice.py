"""As whom a client speaks in a channel: settled once, not for every line."""

from typing import TYPE_CHECKING

import msgspec

from liveserver.identity import Identity
from rooms.channels import Rules, split
from rooms.room import Speaker

if TYPE_CHECKING:
    from liveserver.gateway.session import Session, Subscription, Who


class Voice(msgspec.Struct, frozen=True, kw_only=True):
    """
    What publications of one client into one channel have in common, its right to them included.

    It is as good as what it was made from: another token, a subscription that came or went, and it
    does not fit any more (`fits`). What a room's staff decide is not in it but asked every time.
    """

    channel: str
    rules: Rules
    who: "Who"
    subscription: "Subscription | None"
    info: bytes  # ClientInfo JSON
    namespace: str = ""
    room: str = ""  # of a built-in channel
    speaker: Speaker | None = None
    staff: bool = False  # the rules for talking in the room do not hold

    def fits(self, session: "Session", channel: str) -> bool:
        """Whether this still is what the client may publish there."""
        return (
            self.channel == channel
            and self.who is session.who
            and self.subscription is session.subscriptions.get(channel)
        )


def voice_of(session: "Session", channel: str, rules: Rules) -> Voice:
    """The voice of a client that may publish in the channel."""
    subscription = session.subscriptions.get(channel)
    info = subscription.info if subscription else session.client_info()
    who = session.who
    if not rules.built_in:
        return Voice(channel=channel, rules=rules, who=who, subscription=subscription, info=info)
    namespace, room = split(channel)
    assert who.identity is not None, "the table lets nobody speak without a name"
    return Voice(
        channel=channel,
        rules=rules,
        who=who,
        subscription=subscription,
        info=info,
        namespace=namespace,
        room=room,
        speaker=_speaker(who.identity, room),
        staff=moderates(who.identity, room),
    )


def moderates(identity: Identity, room: str) -> bool:
    """Whether the rules for talking in this room are this person's to set, and do not hold."""
    own = identity.role in ("streamer", "moderator") and room in identity.rooms
    return own or identity.role == "admin"


def _speaker(identity: Identity, room: str) -> Speaker:
    """Badges are shown where they mean something: staff of another room are viewers here."""
    at_home = identity.role in ("admin", "merchant") or room in identity.rooms
    badges = identity.staff_badges if at_home else ()
    return Speaker(id=identity.user, name=identity.name, badges=list(badges))
