"""
One client of the protocol: its commands in order, its subscriptions, its token.

A command that can be answered at once is; one that has to wait becomes a short-lived task, and the
commands behind it wait in a queue, so that replies come in the order of the commands. While the
queue is long, or the client does not take its answers, nothing more is read from it.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from liveserver.gateway import codes
from liveserver.gateway.options import COMMAND_SECONDS, FLUSH_REPLIES, QUEUE_COMMANDS
from liveserver.gateway.voice import Voice
from liveserver.identity import Identity
from liveserver.problems import REFUSALS
from liveserver.tokens import TokenError, TokenExpired, TokenUndecided
from rooms import protocol
from rooms.channels import Rules
from rooms.commands import METHODS, BadCommand, Command
from rooms.frames import Encoding
from rooms.protocol import Error, Reply

if TYPE_CHECKING:
    from liveserver.gateway.gateway import Gateway
    from liveserver.gateway.peer import Peer

log = logging.getLogger(__name__)

Waiting = Coroutine[Any, Any, None]
Answer = Callable[[int, Any], None]  # queues the answer to the command of that id
Held = tuple[int, Answer]

#: commands whose refusals have the numbers of channel errors
_ABOUT_CHANNELS = {"subscribe", "history", "presence", "presence_stats", "publish"}


class Subscription(msgspec.Struct):
    """One channel of one client."""

    channel: str
    topic: str
    rules: Rules
    info: bytes  # ClientInfo JSON of this client in this channel
    server_side: bool = False
    expires_at: float | None = None  # of the subscription token, seconds
    positioned: bool = False  # it is told positions
    delta: bool = False  # it takes differences


class Who(NamedTuple):
    """Whose token or cookie it was. `renews`: the client is told when it expires."""

    identity: Identity | None
    renews: bool = False


class Session:
    """The protocol side of a `Peer`, which carries its bytes."""

    __slots__ = (
        "_begun_at",
        "_busy",
        "_held",
        "_info",
        "_method",
        "_out",
        "_pending",
        "_started",
        "_stepping",
        "address",
        "client",
        "connected",
        "connection",
        "cookie",
        "ended",
        "gateway",
        "halted",
        "looks_at",
        "subscriptions",
        "voice",
        "who",
    )

    def __init__(self, gateway: "Gateway", connection: "Peer") -> None:
        self.gateway = gateway
        self.connection = connection
        self.client = str(uuid.uuid4())
        self.cookie = ""  # the session cookie, where the handshake lets it count
        self.address = ""  # of the client, where limits per address count it
        self.who = Who(None)
        self.connected = False
        self.ended = False
        self.halted = False  # no command is begun: its end, or answers that it does not take
        self.looks_at = 0.0  # when `expiry` does, before the next ping, since 1970; 0 = not
        self.subscriptions: dict[str, Subscription] = {}
        self.voice: Voice | None = None  # of its last publication
        self._info: tuple[Who, bytes] | None = None  # ClientInfo, while it is this person's
        self._started = False  # a connect command was seen
        self._busy = False  # a task is waiting for what a command needs
        self._held: Held | None = None  # the command that is waiting to be called back
        self._stepping = False  # commands are being started in this very step
        self._method = ""  # of the command being worked on; for the metrics
        self._begun_at = 0.0  # when it had its turn, seconds
        self._pending: list[Command] = []  # mostly short; an empty deque takes up 600 bytes
        self._out: list[bytes] = []

    @property
    def identity(self) -> Identity | None:
        return self.who.identity

    @property
    def user(self) -> str:
        return self.identity.user if self.identity else ""

    @property
    def encoding(self) -> Encoding:
        """What messages of and to this client look like."""
        return self.connection.variant.encoding

    @property
    def busy(self) -> bool:
        """A command is being worked on."""
        return self._busy or self._held is not None

    # --- commands in, in order ---------------------------------------------------------------

    def receive(self, frame: bytes) -> None:
        """Take the commands of one frame; answer what can be answered at once."""
        try:
            commands = self.connection.variant.encoding.commands(frame)
        except BadCommand:
            self.connection.close(codes.BAD_REQUEST)
            return
        for command in commands:
            if not command.id and command.is_pong:
                self._pong()
            else:
                self._pending.append(command)
        if not (self._busy or self._held):
            self._go_on()
        if self._out:
            self.flush()
        if len(self._pending) >= QUEUE_COMMANDS:
            self.connection.hold_back()

    def _pong(self) -> None:
        if not (self._started and self.connection.pong()):
            self.connection.close(codes.BAD_REQUEST)

    def _go_on(self) -> None:
        """Answer what is pending up to the first command that has to wait; that one gets a task."""
        waiting = self._next_waiting()
        if waiting is not None:
            self._busy = True
            self.gateway.spawn(self._wait(*waiting))

    def hold(self, id: int, reply: Answer) -> Callable[[Any], None]:
        """
        The command is answered by a call of what this returns, perhaps at once: with its result,
        which goes to `reply`, or with what it was refused with. Those behind it wait.
        """
        self._held = id, reply
        return self._called_back

    def let_go(self) -> None:
        """The held command will be awaited after all."""
        self._held = None

    def _called_back(self, result: object) -> None:
        """Answer the held command, and go on with those behind it."""
        assert self._held is not None, "a command is answered once"
        (id, reply), self._held = self._held, None
        if isinstance(result, Exception):
            self._refuse(id, result)
        else:
            reply(id, result)
        self._done()
        if self._stepping:
            return
        if self._pending and not self._busy:
            self._go_on()
        self.flush()
        if not (self._busy or self._held):
            self.gateway.idle(self)

    def _next_waiting(self) -> tuple[int, Waiting] | None:
        """Start what is pending up to a command that has to wait: its id, and what to wait for."""
        waiting = None
        while waiting is None and self._pending and not (self.halted or self._held):
            command = self._pending.pop(0)
            waiting = self._start(command)
            if len(self._out) >= FLUSH_REPLIES:
                self.flush()
        if self.connection.held_back and len(self._pending) < QUEUE_COMMANDS // 2:
            self.connection.read_on_soon()
        return None if waiting is None else (command.id, waiting)

    def _start(self, command: Command) -> Waiting | None:
        request = command.request
        self._method, self._begun_at = METHODS.get(type(request), ""), self.gateway.clock()
        self._stepping = True
        try:
            waiting = self.gateway.commands.start(self, command.id, request)
        except Exception as problem:
            self._refuse(command.id, problem)
            waiting = None
        self._stepping = False
        if waiting is None and self._held is None:
            self._done()
        return waiting

    async def _wait(self, id: int, waiting: Waiting) -> None:
        """Work off commands until none is pending."""
        try:
            while True:
                self.flush()
                try:
                    async with asyncio.timeout(COMMAND_SECONDS):
                        await waiting
                except Exception as problem:
                    self._refuse(id, problem)
                self._done()
                following = self._next_waiting()
                if following is None:
                    return
                id, waiting = following
        finally:
            self._busy = False
            self.flush()
            if not self.busy:
                self.gateway.idle(self)

    def _refuse(self, id: int, problem: Exception) -> None:
        """Answer the command being worked on with an exception's error, or close with its code."""
        if self._method == "connect":
            self.connected = False
        if isinstance(problem, codes.Hangup):
            self.connection.close(problem.close)
            return
        if isinstance(problem, codes.Fail):
            error = problem.error
        elif isinstance(problem, REFUSALS):
            about_channel = self._method in _ABOUT_CHANNELS
            error = (codes.channel_error_of if about_channel else codes.error_of)(problem)
        elif isinstance(problem, TimeoutError):
            error = codes.INTERNAL
        else:
            log.error("a command failed", exc_info=problem)
            error = codes.INTERNAL
        self._answer(id, error)

    def _answer(self, id: int, error: Error) -> None:
        self.gateway.meters.errors[self._method, str(error.code)].inc()
        self.reply(Reply(id=id, error=error))

    def _done(self) -> None:
        """The command being worked on has its answer."""
        if self._method:
            gateway = self.gateway
            gateway.meters.commands[self._method].observe(gateway.clock() - self._begun_at)
            self._method = ""

    # --- answers out -------------------------------------------------------------------------

    def reply(self, message: Reply) -> None:
        """Queue a reply; `flush` sends all queued ones in one frame."""
        self._out.append(self._bounded(message.id, self.encoding.reply(message)))

    def reply_rpc(self, id: int, answer: bytes) -> None:
        """Queue the result of an RPC method, which is JSON already."""
        self._out.append(self._bounded(id, self.encoding.rpc_reply(id, answer)))

    def _bounded(self, id: int, answer: bytes) -> bytes:
        """The answer, or that it is too long for a client's buffer."""
        if len(answer) <= self.gateway.options.answer_bytes:
            return answer
        return self.encoding.reply(Reply(id=id, error=codes.LIMIT_EXCEEDED))

    def reply_published(self, id: int, _: object) -> None:
        """Queue the answer to a publication."""
        self._out.append(self.encoding.published(id))

    def push(self, line: bytes) -> None:
        self._out.append(line)

    def flush(self) -> None:
        if self._out:
            lines, self._out = self._out, []
            self.connection.send(lines)

    def halt(self) -> None:
        """The client does not take what is sent to it: no further answers until it has."""
        self.halted = True

    def resume(self) -> None:
        """It has taken everything."""
        self.halted = self.ended
        if self.halted or self.busy:
            return
        self._go_on()
        self.flush()
        if not self.busy:
            self.gateway.idle(self)

    # --- who it is ---------------------------------------------------------------------------

    def begin(self) -> None:
        """The first command must be a connect, and there is only one."""
        if self._started:
            raise codes.Hangup(codes.BAD_REQUEST)
        self._started = True

    def identify(self, token: str) -> Who:
        """Whose token, or cookie, this is. Neither is enough only in insecure mode."""
        tokens = self.gateway.tokens
        if token:
            try:
                return Who(tokens.verify(token), renews=not self.gateway.options.insecure)
            except TokenExpired:
                raise codes.Fail(codes.TOKEN_EXPIRED) from None
            except TokenUndecided:
                raise codes.Fail(codes.KEY_PENDING) from None
            except TokenError:
                raise codes.Hangup(codes.INVALID_TOKEN) from None
        if self.cookie:
            try:
                return Who(tokens.verify(self.cookie))
            except TokenError:
                pass  # an old cookie is as good as none
        if self.gateway.options.insecure:
            return Who(None)
        raise codes.Fail(codes.UNAUTHORIZED)

    def client_info(self, chan_info: bytes = b"") -> bytes:
        """ClientInfo JSON: who this is, as others see it."""
        if not chan_info and self._info and self._info[0] is self.who:
            return self._info[1]
        conn_info = b""
        if self.identity and self.identity.name:
            conn_info = msgspec.json.encode({"name": self.identity.name})
        info = protocol.client_info(self.user, self.client, conn_info, chan_info)
        if not chan_info:
            self._info = self.who, info
        return info

    def ttl(self, expires_at: float) -> int:
        """Whole seconds until then, at least 1."""
        return max(1, int(expires_at - self.gateway.now() / 1000))

    # --- the end of subscriptions ------------------------------------------------------------

    def lost(self, channel: str) -> None:
        """The hub cannot fill a gap: subscribe again, for a server-side one by reconnecting."""
        subscription = self.subscriptions.get(channel)
        if subscription is None:
            return
        if subscription.server_side:
            self.connection.close(codes.INSUFFICIENT_STATE)
        else:
            self.end_subscription(subscription, codes.LOST_STATE)

    def end_subscription(self, subscription: Subscription, why: codes.Unsubscribe) -> None:
        """Out of the channel by the server's will, which the client is told."""
        self.drop(subscription)
        self.gateway.meters.unsubscribes.labels(str(why.code)).inc()
        self.push(self.encoding.unsubscribe(subscription.channel, why.code, why.reason))
        self.flush()

    def drop(self, subscription: Subscription) -> None:
        """Out of the channel, presence and leave message included, those a little later."""
        del self.subscriptions[subscription.channel]
        self.gateway.hub.unsubscribe(self.connection, subscription.topic, subscription.channel)
        self.gateway.presence.leave_later(
            subscription.channel,
            self.client,
            subscription.info,
            present=subscription.rules.presence,
            told=subscription.rules.join_leave,
        )

    def end(self) -> None:
        """The connection is over. Safe to call more than once."""
        self.ended = self.halted = True
        self.connected = False
        self._pending.clear()
        for subscription in list(self.subscriptions.values()):
            self.drop(subscription)
