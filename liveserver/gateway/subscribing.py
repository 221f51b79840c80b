"""
Coming into channels and going out of them: asked for by a client, or by the server for it.

A subscriber enters its channel in the very step that answers it (`rooms/hub_service.py`), so
nothing is published in between. Presence is noted before, and the others are told behind.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from liveserver.gateway import codes, expiry
from liveserver.gateway.options import CHANNELS
from liveserver.gateway.rights import Rights
from liveserver.gateway.session import Session, Subscription, Waiting
from liveserver.tokens import SubscriptionClaims
from rooms import commands, protocol
from rooms.bus import Position
from rooms.channels import Rules, room_of, topic_of
from rooms.commands import FLAG_REJECT_UNRECOVERED
from rooms.errors import Refusal
from rooms.hub import Entered
from rooms.protocol import Reply

if TYPE_CHECKING:
    from liveserver.gateway.gateway import Gateway

ENTRY_BYTES = 64  # of a publication in an answer, besides payload and ClientInfo


class Subscribing:
    """The subscriptions of all connections of a gateway. Raises as commands do."""

    def __init__(self, gateway: "Gateway", rights: Rights) -> None:
        self._gateway = gateway
        self._rights = rights

    def subscribe(self, session: Session, id: int, request: commands.Subscribe) -> Waiting | None:
        channel = request.channel
        rules = self._rights.rules(channel)
        if channel in session.subscriptions:
            raise codes.Fail(codes.ALREADY_SUBSCRIBED)
        if len(session.subscriptions) >= CHANNELS:
            raise codes.Fail(codes.LIMIT_EXCEEDED)
        if request.type or bytes(request.tf) not in (b"", b"null"):
            raise codes.Fail(codes.BAD_COMMAND)
        claims = self._rights.subscribe(
            session.identity, session.client, channel, rules, request.token
        )
        subscription = _subscription(session, request, rules, claims)
        if not request.recover and self._subscribe_at_once(session, id, subscription):
            return None
        return self._subscribe_with(session, id, request, subscription)

    def _subscribe_at_once(self, session: Session, id: int, subscription: Subscription) -> bool:
        """Enter a channel that is watched here already, as all but the first of a crowd do."""
        rules, room = subscription.rules, room_of(subscription.channel)
        hub = self._gateway.hub
        if rules.presence or rules.join_leave:
            return False
        if room is not None and not hub.hub.viewers_of(room, subscription.channel):
            return False
        entered = hub.at_once(subscription.topic, subscription.channel)
        if entered is None:
            return False
        session.reply(_subscribed(session, id, subscription, entered, None))
        session.subscriptions[subscription.channel] = subscription
        expiry.watch(session, subscription)
        hub.enter(session.connection, subscription.topic, subscription.channel, rules,
                  delta=subscription.delta)  # fmt: skip
        return True

    async def _subscribe_with(
        self, session: Session, id: int, request: commands.Subscribe, subscription: Subscription
    ) -> None:
        await self._check_room(request.channel)
        since = None
        if request.recover and subscription.positioned:
            since = Position(request.epoch, request.offset)
        must_recover = bool(request.flag & FLAG_REJECT_UNRECOVERED)
        refused = False

        def admit(entered: Entered) -> bool:
            nonlocal refused
            refused = since is not None and must_recover and not entered.recovered
            self.note_recovery(entered, since)
            if not refused:
                session.reply(_subscribed(session, id, subscription, entered, since))
            return not refused

        entered = await self.enter(session, subscription, since, admit)
        if refused:
            raise codes.Fail(codes.UNRECOVERABLE)
        if not entered and not session.ended:  # the server subscribed it meanwhile
            raise codes.Fail(codes.ALREADY_SUBSCRIBED)

    async def subscribe_for(
        self,
        session: Session,
        channel: str,
        rules: Rules,
        info: bytes,
        data: bytes,
        since: Position | None = None,
    ) -> None:
        """
        Subscribe a client by the server's own will, which it is told. `info` is what others see of
        it in the channel, `data` what it is told itself; both JSON or empty. What followed on
        `since` it gets as what is published from now on. Raises as subscribing.
        """
        subscription = Subscription(
            channel,
            topic_of(channel),
            rules,
            session.client_info(info),
            server_side=True,
            positioned=rules.recovery,
        )

        def admit(entered: Entered) -> bool:
            position = entered.position if rules.recovery else None
            if position and since and entered.recovered:  # from where its publications count on
                position = Position(position.epoch, since.offset)
            told = protocol.server_subscribed(position, data)
            session.push(session.encoding.subscribe(channel, told))
            head = session.encoding.head(channel)
            for item in entered.missed:
                session.push(session.encoding.push(head, item))
            return True

        await self.enter(session, subscription, since if rules.recovery else None, admit)

    async def _check_room(self, channel: str) -> None:
        """A room that does not exist has no channels. Whoever is watched here does exist."""
        room = room_of(channel)
        if room is not None and not self._gateway.hub.hub.viewers_of(room, channel):
            await self._gateway.rooms.get(room)

    async def enter(
        self,
        session: Session,
        subscription: Subscription,
        since: Position | None,
        admit: Callable[[Entered], bool],
    ) -> bool:
        """
        Presence first, then answer and entry in one step, then tell the others. False if it was not
        admitted, or is in the channel already: the server subscribes clients of its own will.
        """
        channel, rules = subscription.channel, subscription.rules
        presence, is_in = self._gateway.presence, False
        if rules.presence:
            await presence.enter(channel, session.client, subscription.info)

        def answer(entered: Entered) -> bool:
            nonlocal is_in
            entered = _fitting(entered, self._gateway.options.answer_bytes, subscription)
            if session.ended or channel in session.subscriptions or not admit(entered):
                return False
            session.subscriptions[channel] = subscription
            expiry.watch(session, subscription)
            session.flush()
            is_in = not session.ended
            return is_in

        try:
            await self._gateway.hub.subscribe(
                session.connection,
                subscription.topic,
                channel,
                rules,
                since=since,
                delta=subscription.delta,
                admit=answer,
            )
        finally:
            if channel not in session.subscriptions:
                presence.leave_later(
                    channel, session.client, b"", present=rules.presence, told=False
                )
        if rules.join_leave and is_in:
            await presence.announce_join(channel, session.client, subscription.info)
        return is_in

    def note_recovery(self, entered: Entered, since: Position | None) -> None:
        if since is not None:
            self._gateway.meters.recovered(entered.recovered, len(entered.missed))

    def unsubscribe(
        self, session: Session, id: int, request: commands.Unsubscribe
    ) -> Waiting | None:
        if not request.channel:
            raise codes.Hangup(codes.BAD_REQUEST)
        subscription = session.subscriptions.get(request.channel)
        answer = Reply(id=id, unsubscribe=protocol.Empty())
        if subscription is not None and (
            subscription.rules.presence or subscription.rules.join_leave
        ):
            return self._unsubscribe_told(session, subscription, answer)
        if subscription is not None:
            session.drop(subscription)
        session.reply(answer)
        return None

    async def _unsubscribe_told(
        self, session: Session, subscription: Subscription, answer: Reply
    ) -> None:
        channel, rules = subscription.channel, subscription.rules
        if session.subscriptions.pop(channel, None) is None:
            return  # the connection ended before this began, and left the channel with it
        self._gateway.hub.unsubscribe(session.connection, subscription.topic, channel)
        presence = self._gateway.presence
        leaving = channel, session.client, subscription.info
        try:
            await presence.leave(*leaving, present=rules.presence, told=rules.join_leave)
        except Refusal:  # it has left all the same; the others see it later
            presence.leave_later(*leaving, present=rules.presence, told=rules.join_leave)
        session.reply(answer)

    def refresh(self, session: Session, id: int, request: commands.SubRefresh) -> None:
        claims = self._rights.claims(  # one SDK leaves the channel to the token
            session.identity, session.client, request.channel, request.token
        )
        subscription = session.subscriptions.get(claims.channel)
        if subscription is None:
            raise codes.Fail(codes.DENIED)
        subscription.expires_at = claims.exp
        expiry.watch(session, subscription)
        result = protocol.SubRefreshResult()
        if claims.exp is not None:
            result.expires, result.ttl = True, session.ttl(claims.exp)
        session.reply(Reply(id=id, sub_refresh=result))


def _subscription(
    session: Session,
    request: commands.Subscribe,
    rules: Rules,
    claims: SubscriptionClaims | None,
) -> Subscription:
    """What is asked for, as far as the channel's rules allow it."""
    positioned = rules.recovery or (
        rules.has_history and (request.positioned or request.recoverable or request.recover)
    )
    return Subscription(
        request.channel,
        topic_of(request.channel),
        rules,
        session.client_info(bytes(claims.info) if claims else b""),
        expires_at=claims.exp if claims else None,
        positioned=positioned,
        delta=(
            request.delta in rules.delta
            and positioned
            and session.connection.variant.delta is not None
        ),
    )


def _fitting(entered: Entered, most: int, subscription: Subscription) -> Entered:
    """Not recovered where the publications are too many bytes for one answer, which is whole."""
    size = sum(len(one.data) + len(one.info) + ENTRY_BYTES for one in entered.missed)
    if subscription.delta:  # payloads as texts: every quote may have to be escaped
        size *= 2
    return entered if size <= most else Entered(entered.position)


def _subscribed(
    session: Session, id: int, subscription: Subscription, entered: Entered, since: Position | None
) -> Reply:
    ends = subscription.expires_at
    ttl = None if ends is None else session.ttl(ends)
    result = result_of(
        entered, since, positioned=subscription.positioned, ttl=ttl, delta=subscription.delta
    )
    return Reply(id=id, subscribe=result)


def result_of(
    entered: Entered,
    since: Position | None,
    *,
    positioned: bool,
    ttl: int | None = None,
    delta: bool = False,
) -> protocol.SubscribeResult:
    return protocol.subscribed(
        entered.position if positioned else None,
        requested=since,
        recovered=entered.recovered,
        missed=entered.missed,
        ttl=ttl,
        delta=delta,
    )
