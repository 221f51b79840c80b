"""
What each command of the protocol does.

`start` answers at once and returns None, or returns what still has to be awaited. Nothing is
answered out of order. What is about subscriptions is in `subscribing.py`.
"""

import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from msgspec import Raw

from liveserver.gateway import codes, expiry
from liveserver.gateway.options import HISTORY_BYTES
from liveserver.gateway.rights import Rights
from liveserver.gateway.session import Answer, Session, Subscription, Waiting
from liveserver.gateway.subscribing import Subscribing, result_of
from liveserver.gateway.voice import Voice, voice_of
from liveserver.tokens import TokenError, TokenExpired, TokenUndecided
from rooms import commands, protocol
from rooms.bus import Position
from rooms.channels import Rules, personal, topic_of
from rooms.commands import Request
from rooms.frames import PROTOBUF
from rooms.hub import Entered
from rooms.protocol import Reply

if TYPE_CHECKING:
    from liveserver.gateway.gateway import Gateway


class Commands:
    """The commands of all connections of a gateway."""

    def __init__(self, gateway: "Gateway", rights: Rights) -> None:
        self._gateway = gateway
        self._rights = rights
        self.subscribing = Subscribing(gateway, rights)
        self._handlers: dict[type, Callable[..., Waiting | None]] = {
            commands.Connect: self._connect,
            commands.Subscribe: self.subscribing.subscribe,
            commands.Unsubscribe: self.subscribing.unsubscribe,
            commands.Publish: self._publish,
            commands.AskPresence: self._presence,
            commands.AskPresenceStats: self._presence_stats,
            commands.HistoryRequest: self._history,
            commands.Rpc: self._rpc,
            commands.Send: self._send,
            commands.Refresh: self._refresh,
            commands.SubRefresh: self.subscribing.refresh,
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
            self.subscribing.note_recovery(entered, since)
            result = result_of(entered, since, positioned=rules.recovery)
            self._connected(session, id, {channel: result})
            return True

        await self.subscribing.enter(session, subscription, since, admit)

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
