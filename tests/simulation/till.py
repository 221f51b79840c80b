"""The shop's till: orders from the shelf, some with a coupon, and money that goes back."""

import asyncio
from typing import TYPE_CHECKING

import msgspec

from orders.requests import (
    CreateCoupon,
    CreateOrder,
    CreateProduct,
    EditCoupon,
    LineAsked,
    Refund,
    Ship,
)
from orders.shapes import Coupon, Product

if TYPE_CHECKING:
    from tests.simulation.clients import Market

MERCHANT = "acme"
#: (code, kind, value): of an order of 1000 a coupon takes a tenth, a half, or all of it.
COUPONS = (("tenth", "amount", 100), ("half", "percent", 50), ("free", "percent", 100))
BUDGETS = (300, 1_000, 3_000)
PRICE = 1_000


class Till:
    """What is sold without a hurry, by the clients of a market."""

    def __init__(self, market: "Market") -> None:
        self.market = market
        self.random = market.random
        self.products: list[str] = []
        self.coupons: dict[str, str] = {}  # code -> id

    async def open(self, product: str) -> None:
        """A second product, and coupons that are soon used up."""
        ask, random = self.market.ask, self.random
        body = await ask(
            CreateProduct(
                merchant=MERCHANT, sku="tee", title="Tee", price_cents=PRICE, currency="EUR",
                stock=random.randint(5, 30),
            )
        )  # fmt: skip
        assert isinstance(body, bytes), body
        self.products = [product, msgspec.json.decode(body, type=Product).id]
        for code, kind, value in COUPONS:
            body = await ask(
                CreateCoupon(
                    merchant=MERCHANT, code=code, kind=kind, value=value, currency="EUR",
                    budget_cents=random.choice(BUDGETS), per_buyer_limit=random.randint(1, 2),
                )
            )  # fmt: skip
            assert isinstance(body, bytes), body
            self.coupons[code] = msgspec.json.decode(body, type=Coupon).id

    async def edit(self) -> None:
        """The merchant gives more or less; never less than is used."""
        change: dict[str, int] = self.random.choice((
            {"budget_cents": self.random.choice(BUDGETS)},
            {"per_buyer_limit": self.random.randint(1, 2)},
        ))  # fmt: skip
        coupon = self.coupons[self.random.choice(COUPONS)[0]]
        await self.market.once(EditCoupon(coupon=coupon, changes=change))

    # ── buying ──────────────────────────────────────────────────────────────────────────────

    async def buy(self, name: str, key: str) -> str | None:
        """One order, asked for once or twice; its id."""
        products = self.random.choice((self.products[:1], self.products[1:], self.products))
        lines = tuple((product, self.random.randint(1, 2)) for product in products)
        coupon = self.random.choice((None, *COUPONS, *COUPONS))
        order = await self._buy(name, key, lines, coupon)
        if order is not None and self.random.random() < 0.3:
            await self._buy(name, key, lines, coupon)
        return order

    async def _buy(
        self,
        name: str,
        key: str,
        lines: tuple[tuple[str, int], ...],
        coupon: tuple[str, str, int] | None,
    ) -> str | None:
        journal, seen = self.market.journal, self.market.world.seen
        journal.sent.add((name, key))
        body = await self.market.ask(
            CreateOrder(
                buyer=name, buyer_name=name, key=key, room=self.market.shelf_room, actor=name,
                lines=[LineAsked(product_id=product, quantity=n) for product, n in lines],
                coupon=None if coupon is None else coupon[0],
            )
        )  # fmt: skip
        asked = (None, tuple(sorted(lines)), cents_of(lines, coupon))
        if isinstance(body, str):
            seen["coupon refused"] += coupon is not None
            if journal.asked.get((name, key)) == asked:
                journal.forgotten.append(f"{name} {key}: {body}")
            return None
        seen["coupon used"] += coupon is not None
        journal.success(name, key, asked, body)
        order: str = msgspec.json.decode(body)["id"]
        return order

    # ── giving back ─────────────────────────────────────────────────────────────────────────

    async def give_back(self, order: str) -> None:
        """Staff pay parts or all of it back: the same refund twice, or two at the same time."""
        if self.random.random() < 0.3:
            await self.market.ask(Ship(order=order, carrier="DHL", tracking="1"))
        for number in range(self.random.randint(1, 3)):
            key = f"r{self.random.randint(0, number)}"
            cents = self.random.choice((None, None, 1, 300, 500))
            restock = self.random.random() < (0.7 if cents is None else 0.1)
            await self.random.choice((self._refund, self._refund_twice, self._two_refunds))(
                order, key, cents, restock
            )

    async def _refund_twice(self, order: str, key: str, cents: int | None, restock: bool) -> None:
        await self._refund(order, key, cents, restock)
        await self._refund(order, key, cents, restock)

    async def _two_refunds(self, order: str, key: str, cents: int | None, restock: bool) -> None:
        """Two at the desk press at once: the same button, or each an own one, or without a key."""
        other = self.random.choice((key, "other"))
        await asyncio.gather(
            self._refund(order, key, cents, restock), self._refund(order, other, cents, restock)
        )
        if self.random.random() < 0.2:
            await self.market.once(Refund(order=order, reason="no key", amount_cents=1))

    async def _refund(self, order: str, key: str, cents: int | None, restock: bool) -> None:
        refunds, seen = self.market.journal.refunds, self.market.world.seen
        refunds.sent.setdefault((order, key), set()).add((cents, restock))
        body = await self.market.ask(
            Refund(order=order, reason="broken", amount_cents=cents, restock=restock, key=key)
        )
        if isinstance(body, str):
            seen["refund refused"] += 1
            if refunds.done.get((order, key)) == (cents, restock):
                refunds.forgotten.append(f"{order} {key}: {body}")
            return
        seen["refund again"] += (order, key) in refunds.done
        seen["refund of a part" if cents is not None else "refund of all"] += 1
        seen["refund into stock"] += restock
        refunds.done[(order, key)] = (cents, restock)


def cents_of(lines: tuple[tuple[str, int], ...], coupon: tuple[str, str, int] | None) -> int:
    """What such an order costs."""
    whole = sum(PRICE * quantity for _product, quantity in lines)
    if coupon is None:
        return whole
    _code, kind, value = coupon
    return whole - (min(value, whole) if kind == "amount" else whole * value // 100)
