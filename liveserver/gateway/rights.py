"""
Who may do what in which channel: the built-in ones by the table of `access`, the others by options.

Every function returns or raises `codes.Fail` (answer the command) or `codes.Hangup`.
"""

from liveserver.access import allow
from liveserver.gateway import codes
from liveserver.gateway.options import GatewayOptions
from liveserver.identity import Identity
from liveserver.tokens import SubscriptionClaims, TokenError, TokenExpired, Tokens, TokenUndecided
from rooms.channels import CHANNEL_LENGTH_MAX, Rules, is_open_to, room_of, split


class Rights:
    """The rights of the viewer socket."""

    def __init__(self, options: GatewayOptions, tokens: Tokens) -> None:
        self._options = options
        self._tokens = tokens

    def rules(self, channel: str) -> Rules:
        """What holds in a channel whose name is acceptable; none at all ends the connection."""
        if not channel:
            raise codes.Hangup(codes.BAD_REQUEST)
        if len(channel) > CHANNEL_LENGTH_MAX or not channel.isprintable():
            raise codes.Fail(codes.BAD_COMMAND)
        rules = self._options.namespaces.rules_of(channel)
        if rules is None:
            raise codes.Fail(codes.UNKNOWN_CHANNEL)
        return rules

    def subscribe(
        self, identity: Identity | None, client: str, channel: str, rules: Rules, token: str
    ) -> SubscriptionClaims | None:
        """May this person subscribe? The claims of the subscription token, when there is one."""
        claims = self.claims(identity, client, channel, token) if token else None
        if not is_open_to(channel, _user(identity)):
            raise codes.Fail(codes.DENIED)
        if rules.built_in:
            self._built_in(identity, channel, "subscribe")
        elif claims is None and not self._options.insecure and "#" not in channel:
            raise codes.Fail(codes.DENIED)
        return claims

    def publish(
        self, identity: Identity | None, channel: str, rules: Rules, *, subscribed: bool
    ) -> None:
        """May this person publish?"""
        if not is_open_to(channel, _user(identity)):
            raise codes.Fail(codes.DENIED)
        if rules.built_in:
            if rules.publish != "speaker":
                raise codes.Fail(codes.DENIED)
            self._built_in(identity, channel, "publish")
        elif not (
            self._options.insecure
            or rules.publish == "anyone"
            or (rules.publish == "subscriber" and subscribed)
        ):
            raise codes.Fail(codes.DENIED)

    def ask_history(
        self, identity: Identity | None, channel: str, rules: Rules, *, subscribed: bool
    ) -> None:
        """May this person read the channel's history?"""
        self._ask(identity, channel, rules, subscribed)
        if not rules.has_history:
            raise codes.Fail(codes.NOT_AVAILABLE)

    def ask_presence(
        self,
        identity: Identity | None,
        channel: str,
        rules: Rules,
        *,
        subscribed: bool,
        numbers_only: bool = False,
    ) -> None:
        """May this person see who, or only how many, are in the channel?"""
        room = room_of(channel)
        if room is not None:
            action = "channel.presence_stats" if numbers_only else "channel.presence"
            allow(identity, action, room=room)
            if numbers_only:
                return
        else:
            self._ask(identity, channel, rules, subscribed)
        if not rules.presence:
            raise codes.Fail(codes.NOT_AVAILABLE)

    def _ask(self, identity: Identity | None, channel: str, rules: Rules, subscribed: bool) -> None:
        if not is_open_to(channel, _user(identity)):
            raise codes.Fail(codes.DENIED)
        if not subscribed and (rules.built_in or not self._options.insecure):
            raise codes.Fail(codes.DENIED)

    def _built_in(self, identity: Identity | None, channel: str, verb: str) -> None:
        if channel.startswith("#"):  # exactly this user: an id may hold a comma
            allow(identity, f"channel.personal.{verb}", buyer=channel[1:])
        else:
            namespace, room = split(channel)
            allow(identity, f"channel.{namespace}.{verb}", room=room)

    def claims(
        self, identity: Identity | None, client: str, channel: str, token: str
    ) -> SubscriptionClaims:
        """
        A subscription token that holds, of this person, channel ("": whatever it names) and, where
        it names one, client. Somebody else's ends the connection.
        """
        claims = self._read_token(token)
        meant = (claims.sub, claims.channel, claims.client or client)
        if meant != (_user(identity), channel or claims.channel, client):
            raise codes.Hangup(codes.INVALID_TOKEN)
        return claims

    def _read_token(self, token: str) -> SubscriptionClaims:
        """It is verified in insecure mode too."""
        try:
            return self._tokens.verify_subscription(token)
        except TokenExpired:
            raise codes.Fail(codes.TOKEN_EXPIRED) from None
        except TokenUndecided:
            raise codes.Fail(codes.KEY_PENDING) from None
        except TokenError:
            raise codes.Fail(codes.DENIED) from None


def _user(identity: Identity | None) -> str:
    return identity.user if identity else ""
