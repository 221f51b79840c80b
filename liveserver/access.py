"""
Who may do what: ONE table, action × role, for every route, RPC method and channel.

A row names the roles that may act and where each may: everywhere, in the rooms of its token, on its
own shop's things, or on its own orders. A role that a row does not name may not. `tests/web/
test_access.py` walks the table through a listening server and fails for a route without a row.
"""

from enum import Enum
from typing import NamedTuple

from liveserver.identity import Identity, Role
from liveserver.problems import Refused
from liveserver.scopes import within


class Where(Enum):
    """The limit of a right."""

    EVERYWHERE = "everywhere"
    OWN_ROOMS = "in your own rooms"
    OWN_SHOP = "for your own shop"
    OWN_ORDERS = "with your own orders"


class Rule(NamedTuple):
    """
    One row: `anyone` includes people without a token; else the roles and their limits. `key`: no
    person at all but whoever holds the API key; with roles beside it, that one too. `near`: also
    whoever asks from a network of METRICS_ALLOWED_CIDRS, without forwarding headers.
    """

    roles: dict[Role, tuple[Where, ...]]
    anyone: bool = False
    key: bool = False
    near: bool = False


ALL, ROOMS, SHOP, OWN = Where.EVERYWHERE, Where.OWN_ROOMS, Where.OWN_SHOP, Where.OWN_ORDERS

ANYONE = Rule(roles={}, anyone=True)
SIGNED_IN = Rule(
    roles={
        "viewer": (ALL,),
        "streamer": (ALL,),
        "moderator": (ALL,),
        "merchant": (ALL,),
        "admin": (ALL,),
    }
)
NOBODY = Rule(roles={})  # the server alone
KEY = Rule(roles={}, key=True)  # the server API
ADMIN = Rule(roles={"admin": (ALL,)})
KEEPER = Rule(roles={"merchant": (SHOP,), "admin": (ALL,)})
OPERATOR = Rule(roles={"admin": (ALL,)}, key=True, near=True)
HOST = Rule(roles={"streamer": (ROOMS,), "admin": (ALL,)})
ROOM_STAFF = Rule(roles={"streamer": (ROOMS,), "moderator": (ROOMS,), "admin": (ALL,)})
SHOPKEEPER = Rule(roles={"merchant": (SHOP,)})
SELLER = Rule(roles={"streamer": (ROOMS,), "merchant": (SHOP,)})
BUYER = Rule(
    roles={
        "viewer": (OWN,),
        "streamer": (OWN,),
        "moderator": (OWN,),
        "merchant": (OWN,),
        "admin": (OWN,),
    }
)
PARTY_OF_THE_ORDER = Rule(roles={**BUYER.roles, "merchant": (OWN, SHOP)})

ACTIONS: dict[str, Rule] = {
    # people
    "session.create": ANYONE,
    "session.read": SIGNED_IN,
    "session.delete": ANYONE,
    "setup.complete": ANYONE,  # the one-time token of the link is the right
    "config.read": ANYONE,
    "settings.read": ADMIN,
    "settings.edit": ADMIN,
    "user.create": ADMIN,
    "user.list": ADMIN,
    "user.edit": ADMIN,
    "key.list": KEEPER,
    "key.create": KEEPER,
    "key.delete": KEEPER,
    # rooms
    "room.list": ANYONE,
    "room.read": ANYONE,
    "room.create": HOST,
    "room.edit": HOST,
    "room.start": HOST,
    "room.end": HOST,
    "room.rehearse": HOST,
    "room.notice": ROOM_STAFF,
    "room.caption": ROOM_STAFF,
    "room.pin": ROOM_STAFF,
    "room.shelf": ROOM_STAFF,
    "room.products": ROOM_STAFF,
    # what is said in rooms
    "chat.rules": ROOM_STAFF,
    "chat.words": ROOM_STAFF,
    "chat.mute": ROOM_STAFF,
    "chat.ban": ROOM_STAFF,
    "chat.delete": ROOM_STAFF,
    "chat.report": SIGNED_IN,
    "chat.reports": ROOM_STAFF,
    "chat.held": ROOM_STAFF,
    "chat.audit": ROOM_STAFF,
    "words.edit": ADMIN,  # the lists of all rooms
    # video
    "video.key": HOST,
    "video.preflight": HOST,
    "video.publish": ANYONE,  # the stream key is the right, or what `video.key` says
    "video.watch": ANYONE,
    # shows
    "show.list": ANYONE,
    "show.read": ANYONE,  # what was said in a show that runs or is closed: as `show.report`
    "show.report": ROOM_STAFF,
    "show.rule": HOST,
    # goods
    "product.list": SHOPKEEPER,
    "product.create": SHOPKEEPER,
    "product.read": ANYONE,
    "product.edit": SHOPKEEPER,
    "product.stock": SHOPKEEPER,
    "product.image": SHOPKEEPER,
    "product.import": SHOPKEEPER,
    "grant.read": SHOPKEEPER,
    "grant.edit": SHOPKEEPER,
    # sales
    "sale.create": SELLER,
    "sale.read": ANYONE,
    "sale.edit": SELLER,
    "sale.cancel": SELLER,
    "sale.reserve": SIGNED_IN,  # account or guest, as the sale says: decided by the writer
    "waitlist.read": SIGNED_IN,  # the own place
    "waitlist.join": SIGNED_IN,
    "waitlist.leave": SIGNED_IN,
    # orders
    "order.create": SIGNED_IN,
    "order.list": PARTY_OF_THE_ORDER,
    "order.read": PARTY_OF_THE_ORDER,
    "order.pay": BUYER,
    "order.cancel": BUYER,
    "order.ship": SHOPKEEPER,
    "order.complete": SHOPKEEPER,
    "order.refund": SHOPKEEPER,
    "order.mark_paid": SHOPKEEPER,
    "coupon.list": SHOPKEEPER,
    "coupon.create": SHOPKEEPER,
    "coupon.edit": SHOPKEEPER,
    "order.delivery": BUYER,
    "shop.read": SHOPKEEPER,
    "shop.edit": SHOPKEEPER,
    "hook.secret": SHOPKEEPER,
    "hook.receive": ANYONE,  # the signature is the right
    # webhooks
    "webhook.list": SHOPKEEPER,
    "webhook.create": SHOPKEEPER,
    "webhook.edit": SHOPKEEPER,
    "webhook.delete": SHOPKEEPER,
    "webhook.rotate": SHOPKEEPER,
    "webhook.test": SHOPKEEPER,
    "webhook.replay": SHOPKEEPER,
    "delivery.list": SHOPKEEPER,
    "delivery.redeliver": SHOPKEEPER,
    "event.list": SHOPKEEPER,
    # what anybody may look at
    "meta.read": ANYONE,
    "emulation.send": ANYONE,  # the session of the stream is the right
    "metrics.read": OPERATOR,
    "page.read": ANYONE,
    # the server API
    "api.publish": KEY,
    "api.broadcast": KEY,
    "api.presence": KEY,
    "api.presence_stats": KEY,
    "api.history": KEY,
    "api.history_remove": KEY,
    "api.channels": KEY,
    "api.info": KEY,
    "api.disconnect": KEY,
    "api.subscribe": KEY,
    "api.unsubscribe": KEY,
    "api.refresh": KEY,
    "api.batch": KEY,
    # RPC methods of the viewer socket
    "rpc.reserve": SIGNED_IN,
    "rpc.waitlist.join": SIGNED_IN,
    "rpc.waitlist.leave": SIGNED_IN,
    "rpc.order.create": SIGNED_IN,
    "rpc.order.pay": BUYER,
    "rpc.order.cancel": BUYER,
    "rpc.like": SIGNED_IN,
    "rpc.room.snapshot": ANYONE,
    # channels of the viewer socket; publishing is further ruled by chat rules and mutes
    "channel.room.subscribe": ANYONE,
    "channel.room.publish": NOBODY,
    "channel.chat.subscribe": ANYONE,
    "channel.chat.publish": SIGNED_IN,
    "channel.danmaku.subscribe": ANYONE,
    "channel.danmaku.publish": SIGNED_IN,
    "channel.console.subscribe": ROOM_STAFF,
    "channel.console.publish": NOBODY,
    "channel.presence": ROOM_STAFF,  # who exactly is in a built-in channel of the room
    "channel.presence_stats": ANYONE,
    "channel.personal.subscribe": BUYER,  # `#<user>`: `buyer` is the name after the `#`
    "channel.personal.publish": NOBODY,
}


def allow(
    identity: Identity | None,
    action: str,
    *,
    room: str | None = None,
    merchant: str | None = None,
    buyer: str | None = None,
) -> None:
    """
    Return if `identity` may do `action` on the thing in this room, of this shop, of this buyer.

    Raises:
        Refused: `unauthorized` without an identity, else `forbidden`.
    """
    rule = ACTIONS[action]
    if rule.anyone:
        return
    limits = _limits(identity, action)
    assert identity is not None
    if ALL in limits:
        return
    if not any(_inside(identity, where, room, merchant, buyer) for where in limits):
        where = " or ".join(limit.value for limit in limits)
        raise Refused("forbidden", f"You may do this only {where}.")


def allow_somewhere(identity: Identity | None, action: str) -> None:
    """Return if this role may do `action` at all: the check before anything is looked up."""
    if not ACTIONS[action].anyone:
        _limits(identity, action)


def _limits(identity: Identity | None, action: str) -> tuple[Where, ...]:
    if identity is None:
        raise Refused("unauthorized", "A session or token is needed.")
    limits = ACTIONS[action].roles.get(identity.role)
    if limits is None:
        raise Refused("forbidden", f"The role {identity.role} may not do this.")
    if identity.scopes is not None and not within(identity.role, identity.scopes, action):
        raise Refused("forbidden", f"This API key has no scope for {action}.")
    return limits


def _inside(
    identity: Identity, where: Where, room: str | None, merchant: str | None, buyer: str | None
) -> bool:
    match where:
        case Where.EVERYWHERE:
            return True
        case Where.OWN_ROOMS:
            return room is not None and room in identity.rooms
        case Where.OWN_SHOP:
            return merchant is not None and merchant == identity.merchant
        case Where.OWN_ORDERS:
            return buyer is not None and buyer == identity.user
