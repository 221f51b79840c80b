"""
What an API key may do: named scopes, each a set of actions of `liveserver.access`.

A key never may more than the person who made it, whose account is looked up each time, where there
is one. `things:write` includes `things:read`. What no scope names (sessions, keys themselves,
buying) no key may do.
"""

from liveserver.identity import Role

_PRODUCTS = ("product.list", "grant.read")
_ORDERS = ("order.list", "order.read")
_COUPONS = ("coupon.list",)
_WEBHOOKS = ("webhook.list", "delivery.list", "event.list")
_ROOMS = (
    "room.products", "chat.words", "chat.reports", "chat.held", "chat.audit", "show.report",
)  # fmt: skip

MERCHANT_SCOPES: dict[str, tuple[str, ...]] = {
    "products:read": _PRODUCTS,
    "products:write": (
        *_PRODUCTS, "product.create", "product.edit", "product.stock", "product.image",
        "product.import", "grant.edit",
    ),
    "sales:write": ("sale.create", "sale.edit", "sale.cancel"),
    "orders:read": _ORDERS,
    "orders:write": (
        *_ORDERS, "order.ship", "order.complete", "order.refund", "order.mark_paid",
    ),
    "coupons:read": _COUPONS,
    "coupons:write": (*_COUPONS, "coupon.create", "coupon.edit"),
    "webhooks:read": _WEBHOOKS,
    "webhooks:write": (
        *_WEBHOOKS, "webhook.create", "webhook.edit", "webhook.delete", "webhook.rotate",
        "webhook.test", "webhook.replay", "delivery.redeliver",
    ),
    "hooks:write": ("hook.secret",),  # who has the secret can say that orders are paid
    "shop:write": ("shop.read", "shop.edit"),
}  # fmt: skip

ADMIN_SCOPES: dict[str, tuple[str, ...]] = {
    "rooms:read": _ROOMS,
    "rooms:write": (
        *_ROOMS, "room.create", "room.edit", "room.start", "room.end", "room.rehearse",
        "room.notice", "room.caption", "room.pin", "room.shelf", "chat.rules", "chat.mute",
        "chat.ban", "chat.delete", "words.edit", "video.key", "video.preflight", "show.rule",
    ),
    "users:read": ("user.list",),
    "users:write": ("user.list", "user.create", "user.edit"),  # as good as an administrator
    "settings:write": ("settings.read", "settings.edit"),
    "metrics:read": ("metrics.read",),
}  # fmt: skip

#: which scopes a role can give away
SCOPES_OF: dict[Role, dict[str, tuple[str, ...]]] = {
    "merchant": MERCHANT_SCOPES,
    "admin": ADMIN_SCOPES,
}


def within(role: Role, scopes: tuple[str, ...], action: str) -> bool:
    """Whether one of these scopes, held by somebody of this role, covers the action."""
    known = SCOPES_OF.get(role, {})
    return any(action in known.get(scope, ()) for scope in scopes)
