"""What the server API does to the connections of one worker. Every function answers at once."""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator
from fnmatch import translate
from typing import TYPE_CHECKING, Any

import msgspec

from liveserver.control import Status, Work
from liveserver.gateway import codes, expiry
from liveserver.gateway.options import CHANNELS, COMMAND_SECONDS
from liveserver.gateway.session import Session
from liveserver.problems import REFUSALS
from rooms.bus import Position
from rooms.channels import Rules

if TYPE_CHECKING:
    from liveserver.gateway.gateway import Gateway

log = logging.getLogger(__name__)

CHANNELS_MAX = 10_000  # names in one worker's answer, about half a megabyte on the bus


class Whom(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Which connections: of this user, or of these only one client or session."""

    user: str
    client: str = ""
    session: str = ""  # of a stream


class Disconnect(Whom, kw_only=True, omit_defaults=True):
    code: int
    reason: str
    whitelist: list[str] = []  # clients that stay


class Unsubscribe(Whom, kw_only=True, omit_defaults=True):
    channel: str = ""  # empty: all of them


class Subscribe(Whom, kw_only=True, omit_defaults=True):
    """`info` and `data`: JSON as text, or empty. What followed on `since` is sent, too."""

    channel: str
    since: Position | None = None
    info: str = ""
    data: str = ""


class Refresh(Whom, kw_only=True, omit_defaults=True):
    expired: bool = False
    expire_at: int = 0  # seconds; 0: never


class Pattern(msgspec.Struct):
    pattern: str = ""


class Remote:
    """The connections of `gateway` as seen from outside."""

    def __init__(
        self, gateway: "Gateway", node: str, *, name: str, clock: Callable[[], float]
    ) -> None:
        """`clock` is monotonic, in seconds; `name` is for people, `node` new at every start."""
        self._gateway = gateway
        self._node = node
        self._name = name
        self._clock = clock
        self._began = clock()
        self.work: dict[str, Work] = {
            "disconnect": self._disconnect,
            "unsubscribe": self._unsubscribe,
            "subscribe": self._subscribe,
            "refresh": self._refresh,
            "channels": self._channels,
        }

    def sessions(self) -> Iterator[Session]:
        """Everyone who is connected and not yet leaving."""
        for connection in list(self._gateway.connections):
            if connection.open and connection.session.connected:
                yield connection.session

    def status(self) -> Status:
        """One pass over all connections: about a millisecond for ten thousand."""
        users: set[str] = set()
        clients = subscriptions = 0
        for session in self.sessions():
            clients += 1
            users.add(session.user)
            subscriptions += len(session.subscriptions)
        return Status(
            uid=self._node,
            name=self._name,
            version=self._gateway.options.version,
            num_clients=clients,
            num_users=len(users),
            num_subs=subscriptions,
            num_channels=sum(
                1
                for topic in self._gateway.hub.hub.topics.values()
                for channel in topic.channels.values()
                if channel.viewers
            ),
            uptime=int(self._clock() - self._began),
        )

    def channels(self, pattern: str = "") -> dict[str, int]:
        """Channel -> viewers here, of the channels that match and have any."""
        matches = re.compile(translate(pattern)).match if pattern else None
        return {
            channel.name: channel.viewers
            for topic in self._gateway.hub.hub.topics.values()
            for channel in topic.channels.values()
            if channel.viewers and (matches is None or matches(channel.name))
        }

    def _meant(self, whom: Whom) -> list[Session]:
        return [
            session
            for session in self.sessions()
            if session.user == whom.user
            and whom.client in ("", session.client)
            and whom.session in ("", session.connection.stream_id)
        ]

    def _disconnect(self, body: msgspec.Raw) -> int:
        order = msgspec.json.decode(body, type=Disconnect)
        meant = [one for one in self._meant(order) if one.client not in order.whitelist]
        for session in meant:
            session.connection.close(codes.Close(order.code, order.reason))
        return len(meant)

    def _unsubscribe(self, body: msgspec.Raw) -> int:
        order = msgspec.json.decode(body, type=Unsubscribe)
        count = 0
        for session in self._meant(order):
            for subscription in list(session.subscriptions.values()):
                if order.channel in ("", subscription.channel):
                    session.end_subscription(subscription, codes.SERVER_UNSUBSCRIBE)
                    count += 1
        return count

    def _subscribe(self, body: msgspec.Raw) -> int:
        order = msgspec.json.decode(body, type=Subscribe)
        rules = self._gateway.options.namespaces.rules_of(order.channel)
        if rules is None:
            return 0  # the asker knows namespaces that this worker does not
        meant = [
            one
            for one in self._meant(order)
            if order.channel not in one.subscriptions and len(one.subscriptions) < CHANNELS
        ]
        for session in meant:
            self._gateway.spawn(self._enter(session, order, rules))
        return len(meant)

    async def _enter(self, session: Session, order: Subscribe, rules: Rules) -> None:
        info, data = order.info.encode(), order.data.encode()
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                await self._gateway.commands.subscribing.subscribe_for(
                    session, order.channel, rules, info, data, order.since
                )
        except (TimeoutError, *REFUSALS) as problem:
            log.warning("%s is not subscribed to %s: %r", session.client, order.channel, problem)

    def _refresh(self, body: msgspec.Raw) -> int:
        order = msgspec.json.decode(body, type=Refresh)
        meant = self._meant(order)
        over = order.expired or 0 < order.expire_at * 1000 <= self._gateway.now()
        for session in meant:
            if over:
                session.connection.close(codes.EXPIRED)
            elif session.identity is not None:
                ends = order.expire_at or None
                identity = msgspec.structs.replace(session.identity, expires_at=ends)
                session.who = session.who._replace(identity=identity)
                expiry.watch(session)
        return len(meant)

    def _channels(self, body: msgspec.Raw) -> Any:
        found = self.channels(msgspec.json.decode(body, type=Pattern).pattern)
        return dict(list(found.items())[:CHANNELS_MAX])


def summed(answers: list[msgspec.Raw]) -> dict[str, int]:
    """The channels of all workers, each with its viewers on all of them."""
    total: Counter[str] = Counter()
    for answer in answers:
        total.update(msgspec.json.decode(answer, type=dict[str, int]))
    return dict(total)
