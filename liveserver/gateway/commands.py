"""
What each command of the protocol does.

`start` answers at once and returns None, or returns what still has to be awaited. Nothing is
answered out of order, and a subscriber enters its channel in the step that answers it.
"""

import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from msgspec import Raw

from liveserver.gateway import codes, expiry
from liveserver.gateway.options import CHANNELS, HISTORY_BYTES
from liveserver.gateway.rights import Rights
from liveserver.gateway.session import Answer, Session, Subscription, Waiting
from liveserver.gateway.voice import Voice, voice_of
from liveserver.tokens import SubscriptionClaims, TokenError, TokenExpired, TokenUndecided
from rooms import commands, protocol
from rooms.bus import Position
from rooms.channels import Rules, personal, room_of, topic_of
from rooms.commands import FLAG_REJECT_UNRECOVERED, Request
from rooms.errors import Refusal
from rooms.frames import PROTOBUF
from rooms.hub import Entered
from rooms.protocol import Reply

if TYPE_CHECKING:
    from liveserver.gateway.gateway import Gateway


ENTRY_BYTES = 64  # of a publication in an answer, besides payload and ClientInfo


class Commands:
    """The commands of all connections of a gateway."""

    def __init__(self, gateway: "Gateway", rights: Rights) -> None:
        self._gateway = gateway
        self._rights = rights
        self._handlers: dict[type, Callable[..., Waiting | None]] = {
            commands.Connect: self._connect,
            commands.Subscribe: self._subscribe,
            commands.Unsubscribe: self._unsubscribe,
            commands.Publish: self._publish,
            commands.AskPresence: self._presence,
            commands.AskPresenceStats: self._presence_stats,
            commands.HistoryRequest: self._history,
            commands.Rpc: self._rpc,
            commands.Send: self._send,
            commands.Refresh: self._refresh,
            commands.SubRefresh: self._sub_refresh,
        }

    def start(self, session: Session, id: int, request: Request | None) -> Waiting | None:
        """
        Do a command, or begin it. Raises what `Session` turns into an error or a close. As in
        Centrifugo one that lacks what it cannot do without ends the connection.
        """
        if not session.connected and not isinstance(request, commands.Connect):
            raise codes.Hangup(codes.BAD_REQUEST)
        handler = self._handlers.get(type(request))
        if handler is None:
            raise codes.Fail(codes.NOT_AVAILABLE) if request else codes.Hangup(codes.BAD_REQUEST)
        return handler(session, id, request)

    # --- connect -----------------------------------------------------------------------------

    def _connect(self, session: Session, id: int, request: commands.Connect) -> Waiting | None:
        session.begin()
        session.who = session.identify(request.token)
        if not (session.user and self._gateway.options.personal_channel):
            self._connected(session, id, {})
            return None
        channel = personal(session.user)
        rules = self._gateway.options.namespaces.rules_of(channel)
        if rules is None:
            self._connected(session, id, {})
            return None
        return self._connect_with(session, id, channel, rules, request.subs.get(channel))

    async def _connect_with(
        self,
        session: Session,
        id: int,
        channel: str,
        rules: Rules,
        recovery: commands.Recovery | None,
    ) -> None:
        """Connect with the server-side subscription to the user's own channel."""
        since = None
        if recovery and recovery.recover and rules.recovery:
            since = Position(recovery.epoch, recovery.offset)
        subscription = Subscription(
            channel, topic_of(channel), rules, session.client_info(), server_side=True
        )

        def admit(entered: Entered) -> bool:
            self._note_recovery(entered, since)
            result = _result(entered, since, positioned=rules.recovery)
            self._connected(session, id, {channel: result})
            return True

        await self._enter(session, subscription, since, admit)

    def _connected(
        self, session: Session, id: int, subs: dict[str, protocol.SubscribeResult]
    ) -> None:
        options = self._gateway.options
        expires_at = session.identity.expires_at if session.identity else None
        expires = session.who.renews and expires_at is not None
        native = session.connection.native_pings
        session.connected = True
        session.reply(
            Reply(
                id=id,
                connect=protocol.ConnectResult(
                    client=session.client,
                    version=options.version,
                    expires=expires,
                    ttl=session.ttl(expires_at) if expires and expires_at is not None else 0,
                    subs=subs,
                    session=session.connection.stream_id,
                    node=self._gateway.node if session.connection.stream_id else "",
                    ping=0 if native else max(1, int(options.ping_seconds)),
                    pong=not native,
                    time=self._gateway.now(),
                ),
            )
        )
        expiry.watch(session)
        spread = random.uniform(0.5, 1.0)  # so that a crowd's pings do not come all at once
        session.connection.start_pings(options.ping_seconds * spread)

    # --- subscribe and unsubscribe -----------------------------------------------------------

    def _subscribe(self, session: Session, id: int, request: commands.Subscribe) -> Waiting | None:
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
            self._note_recovery(entered, since)
            if not refused:
                session.reply(_subscribed(session, id, subscription, entered, since))
            return not refused

        entered = await self._enter(session, subscription, since, admit)
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

        await self._enter(session, subscription, since if rules.recovery else None, admit)

    async def _check_room(self, channel: str) -> None:
        """A room that does not exist has no channels. Whoever is watched here does exist."""
        room = room_of(channel)
        if room is not None and not self._gateway.hub.hub.viewers_of(room, channel):
            await self._gateway.rooms.get(room)

    async def _enter(
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

    def _note_recovery(self, entered: Entered, since: Position | None) -> None:
        if since is not None:
            self._gateway.meters.recovered(entered.recovered, len(entered.missed))

    def _unsubscribe(
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

    # --- publish, history, presence ----------------------------------------------------------

    def _publish(self, session: Session, id: int, request: commands.Publish) -> Waiting | None:
        data = bytes(request.data)
        if not data:
            if session.encoding is PROTOBUF:  # bytes that are no JSON, which other servers take
                raise codes.Fail(codes.BAD_COMMAND)
            raise codes.Hangup(codes.BAD_REQUEST)
        voice = session.voice
        if voice is None or not voice.fits(session, request.channel):
            voice = session.voice = self._voice(session, request.channel)
        begin = self._gateway.speech.begin_publish
        return _held(session, id, session.reply_published, begin, session, voice, data)

    def _voice(self, session: Session, channel: str) -> Voice:
        """Whose lines it says. Raises codes.Fail where this client may not publish."""
        rules = self._rights.rules(channel)
        subscribed = channel in session.subscriptions
        self._rights.publish(session.identity, channel, rules, subscribed=subscribed)
        return voice_of(session, channel, rules)

    def _history(self, session: Session, id: int, request: commands.HistoryRequest) -> Waiting:
        channel = request.channel
        rules = self._rights.rules(channel)
        subscribed = channel in session.subscriptions
        self._rights.ask_history(session.identity, channel, rules, subscribed=subscribed)
        return self._history_of(session, id, request, rules)

    async def _history_of(
        self, session: Session, id: int, request: commands.HistoryRequest, rules: Rules
    ) -> None:
        since = Position(request.since.epoch, request.since.offset) if request.since else None
        most = rules.recovery_max
        most_bytes = min(HISTORY_BYTES, self._gateway.options.answer_bytes // 2)
        read = await self._gateway.hub.bus.history(
            topic_of(request.channel),
            request.channel,
            since=since,
            limit=min(request.limit, most) if request.limit >= 0 else most,
            reverse=request.reverse,
            most_bytes=most_bytes,
        )
        if since is not None and since.epoch not in ("", read.position.epoch):
            raise codes.Fail(codes.UNRECOVERABLE)
        publications = protocol.publications(read.publications)
        result = protocol.HistoryResult(
            _first_of(publications, most_bytes),
            read.position.epoch,
            read.position.offset,
        )
        session.reply(Reply(id=id, history=result))

    def _presence(self, session: Session, id: int, request: commands.AskPresence) -> Waiting:
        channel = request.channel
        rules = self._rights.rules(channel)
        subscribed = channel in session.subscriptions
        self._rights.ask_presence(session.identity, channel, rules, subscribed=subscribed)
        return self._presence_of(session, id, channel)

    async def _presence_of(self, session: Session, id: int, channel: str) -> None:
        infos = await self._gateway.presence.infos(channel)
        result = {client: Raw(info) for client, info in infos.items()}
        session.reply(Reply(id=id, presence=protocol.PresenceResult(result)))

    def _presence_stats(
        self, session: Session, id: int, request: commands.AskPresenceStats
    ) -> Waiting:
        channel = request.channel
        rules = self._rights.rules(channel)
        subscribed = channel in session.subscriptions
        self._rights.ask_presence(
            session.identity, channel, rules, subscribed=subscribed, numbers_only=True
        )
        return self._presence_stats_of(session, id, channel)

    async def _presence_stats_of(self, session: Session, id: int, channel: str) -> None:
        stats = await self._gateway.speech.presence_stats(channel)
        session.reply(Reply(id=id, presence_stats=stats))

    # --- rpc, send, tokens -------------------------------------------------------------------

    def _rpc(self, session: Session, id: int, request: commands.Rpc) -> Waiting | None:
        return _held(
            session, id, session.reply_rpc,
            self._gateway.speech.begin, session, request.method, bytes(request.data),
        )  # fmt: skip

    def _send(self, session: Session, id: int, request: commands.Send) -> None:
        """A message that wants no answer; nothing here listens to any."""

    def _refresh(self, session: Session, id: int, request: commands.Refresh) -> None:
        if not request.token:
            raise codes.Hangup(codes.BAD_REQUEST)
        try:
            identity = self._gateway.tokens.verify(request.token)
        except TokenExpired:
            raise codes.Hangup(codes.EXPIRED) from None
        except TokenUndecided:
            raise codes.Fail(codes.KEY_PENDING) from None
        except TokenError:
            raise codes.Hangup(codes.INVALID_TOKEN) from None
        if identity.user != session.user:
            raise codes.Hangup(codes.INVALID_TOKEN)
        session.who = session.who._replace(identity=identity)
        expiry.watch(session)
        result = protocol.RefreshResult(
            client=session.client, version=self._gateway.options.version
        )
        if identity.expires_at is not None:
            result.expires, result.ttl = True, session.ttl(identity.expires_at)
        session.reply(Reply(id=id, refresh=result))

    def _sub_refresh(self, session: Session, id: int, request: commands.SubRefresh) -> None:
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


def _held(
    session: Session,
    id: int,
    reply: Answer,
    begin: Callable[..., Awaitable[Any] | None],
    *arguments: Any,
) -> Waiting | None:
    """
    Begin what calls back with its result, its last argument, or says by what it returns that it has
    to wait.
    """
    done = session.hold(id, reply)
    try:
        waiting = begin(*arguments, done)
    except Exception as problem:
        done(problem)
        return None
    if waiting is None:
        return None
    session.let_go()
    return _awaited(id, waiting, reply)


async def _awaited(id: int, waiting: Awaitable[Any], reply: Answer) -> None:
    reply(id, await waiting)


def _first_of(publications: list[Raw], most: int) -> list[Raw]:
    """As many as have `most` bytes together, at least one: the next page begins behind them."""
    size = 0
    for count, one in enumerate(publications):
        size += len(bytes(one))
        if size > most:
            return publications[: max(1, count)]
    return publications


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
    result = _result(
        entered, since, positioned=subscription.positioned, ttl=ttl, delta=subscription.delta
    )
    return Reply(id=id, subscribe=result)


def _result(
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
