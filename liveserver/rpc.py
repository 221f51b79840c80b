"""RPC methods of the viewer socket: what a page does without leaving its socket."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

import msgspec

from liveserver import buying
from liveserver.access import allow, allow_somewhere
from liveserver.identity import Identity
from liveserver.problems import Refused
from liveserver.services import Services
from liveserver.web.limits import count
from liveserver.web.read import decode
from liveserver.web.requests.common import Id, RoomId, Units
from liveserver.web.requests.orders import Code, Lines
from orders.errors import NotFound, Refusal
from orders.requests import LineAsked

LIKES_MAX = 100  # in one call; a page sums up the taps of a second
Key = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[ -~]+$")]
Done = Callable[[bytes | Exception], None]
Likes = Annotated[int, msgspec.Meta(ge=1, le=LIKES_MAX)]


#: Methods of which guests of one network may call so many, as by HTTP.
HOLDING = frozenset({"reserve", "waitlist.join", "waitlist.leave", "order.create"})


class UnknownMethod(Exception):
    """There is no such method (yet)."""


class Arguments(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Base of all arguments."""


class ReserveArguments(Arguments, kw_only=True):
    flash_sale: Id
    quantity: Units = 1
    key: Key
    metadata: dict[str, Any] = {}


class SaleArguments(Arguments, kw_only=True):
    flash_sale: Id


class CreateArguments(Arguments, kw_only=True):
    lines: Lines
    room: RoomId | None = None
    coupon: Code | None = None
    key: Key
    metadata: dict[str, Any] = {}


class OrderArguments(Arguments, kw_only=True):
    order: Id


class PayArguments(OrderArguments, kw_only=True):
    outcome: Literal["pay", "fail", "timeout", "late"] = "pay"


class LikeArguments(Arguments, kw_only=True):
    room: RoomId
    count: Likes


class RoomArguments(Arguments, kw_only=True):
    room: RoomId


class Rpc:
    """Answers `rpc` commands: arguments and answers are JSON, an object stands under its name."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._methods: dict[str, tuple[type[Arguments], _Method]] = {
            "waitlist.join": (ReserveArguments, self._join),
            "waitlist.leave": (SaleArguments, self._leave),
            "order.create": (CreateArguments, self._create),
            "order.pay": (PayArguments, self._pay),
            "order.cancel": (OrderArguments, self._cancel),
            "like": (LikeArguments, self._like),
            "room.snapshot": (RoomArguments, self._snapshot),
        }

        self._at_once: dict[str, tuple[type[Arguments], _Start]] = {
            "reserve": (ReserveArguments, self._reserve),
        }
        self.methods = frozenset(self._methods.keys() | self._at_once.keys())

    def limit(self, identity: Identity | None, method: str, address: str) -> None:
        """
        Count what a guest wants to hold for its network; `address` "" is not limited.

        Raises:
            Refused: `rate-limited`.
        """
        if address and method in HOLDING and identity is not None and identity.guest:
            count(self._services, "guest", address)

    def begin(self, identity: Identity | None, method: str, data: bytes, done: Done) -> bool:
        """
        Begin a method that answers by calling `done`, perhaps at once; False for all others.

        Raises:
            Refused: It was refused before anything began.
        """
        known = self._at_once.get(method)
        if known is None:
            return False
        shape, start = known
        allow_somewhere(identity, f"rpc.{method}")
        start(identity, decode(data or b"{}", shape), done)
        return True

    async def call(self, identity: Identity | None, method: str, data: bytes) -> bytes:
        """
        The answer of `method` as JSON.

        Raises:
            UnknownMethod: There is no such method.
            Refused, rooms.errors.Refusal, orders.errors.Refusal: It was refused.
        """
        if method not in self._methods:
            raise UnknownMethod(method)
        shape, work = self._methods[method]
        allow_somewhere(identity, f"rpc.{method}")
        return await work(identity, decode(data or b"{}", shape))

    def _reserve(self, identity: Identity | None, asked: ReserveArguments, done: Done) -> None:
        who = _somebody(identity)
        allow(who, "rpc.reserve")
        request = buying.reservation(
            who, asked.flash_sale, asked.quantity, asked.key, asked.metadata
        )

        def answered(result: bytes | Refusal) -> None:
            done(_under("order", result) if isinstance(result, bytes) else result)

        buying.place(self._services, request, answered)

    async def _join(self, identity: Identity | None, asked: ReserveArguments) -> bytes:
        who = _somebody(identity)
        allow(who, "rpc.waitlist.join")
        place = await buying.join(
            self._services, who, asked.flash_sale, asked.quantity, asked.key, asked.metadata
        )
        return _under("place", place)

    async def _leave(self, identity: Identity | None, asked: SaleArguments) -> bytes:
        who = _somebody(identity)
        allow(who, "rpc.waitlist.leave")
        await buying.leave(self._services, who, asked.flash_sale)
        return b"{}"

    async def _create(self, identity: Identity | None, asked: CreateArguments) -> bytes:
        who = _somebody(identity)
        allow(who, "rpc.order.create")
        lines = [LineAsked(product_id=row.product_id, quantity=row.quantity) for row in asked.lines]
        order = await buying.create(
            self._services, who, asked.room, lines, asked.key, asked.metadata, asked.coupon
        )
        return _under("order", order)

    async def _pay(self, identity: Identity | None, asked: PayArguments) -> bytes:
        who = await self._buyer(identity, "rpc.order.pay", asked.order)
        paid = await buying.pay(self._services, who, asked.order, asked.outcome)
        return _under("order", paid)

    async def _cancel(self, identity: Identity | None, asked: OrderArguments) -> bytes:
        who = await self._buyer(identity, "rpc.order.cancel", asked.order)
        return _under("order", await buying.cancel(self._services, who, asked.order))

    async def _like(self, identity: Identity | None, asked: LikeArguments) -> bytes:
        who = _somebody(identity)
        allow(who, "rpc.like")
        await self._services.rooms.like(asked.room, asked.count, who.user)
        return b"{}"

    async def _snapshot(self, identity: Identity | None, asked: RoomArguments) -> bytes:
        allow(identity, "rpc.room.snapshot")
        return await self._services.rooms.snapshot(asked.room)

    async def _buyer(self, identity: Identity | None, action: str, order: str) -> Identity:
        """The caller, who must be the buyer of the order."""
        who = _somebody(identity)
        found = await self._services.reads.order(order)
        if found is None:
            raise NotFound("There is no such order.")
        allow(who, action, buyer=found.buyer.id)
        return who


_Method = Callable[[Identity | None, Any], Awaitable[bytes]]
_Start = Callable[[Identity | None, Any, Done], None]


def _somebody(identity: Identity | None) -> Identity:
    if identity is None:
        raise Refused("unauthorized", "A session or token is needed.")
    return identity


def _under(name: str, body: bytes) -> bytes:
    return b'{"%s":%s}' % (name.encode(), body)
