"""
Payments at the wrong time: begun before their order ends, told after it, twice, of a wrong amount,
or by somebody who does not know the shop's secret.

Some are begun with the demo's provider, which takes the money late and tells only when it is asked.
The others are told by the shop's own system, as Standard Webhooks
(https://www.standardwebhooks.com). All that was told is in the journal: I10 looks for it in SQL.
"""

import asyncio
import base64
import hmac
import json
import secrets
import time
from collections import Counter
from typing import TYPE_CHECKING

import aiohttp

from loadtest.journal import now
from loadtest.shop import Json

if TYPE_CHECKING:
    from loadtest.waves import Waves

CALL_SECONDS = 6.0  # a message unanswered by then is sent again, with the same id
RETRY_SECONDS = (0.05, 0.4)
VOID_SKU = "demo-3"
VOID_BUYERS = 24  # fewer than there are visitors with nothing to do
VOID_SHARE_PAID = 4  # each so many-th of them has paid


class LatePayers:
    """Buyers and a shop's system that pay and tell of payments when nobody expects it."""

    def __init__(self, waves: "Waves", hold_seconds: float) -> None:
        self._waves = waves
        self._hold_seconds = hold_seconds
        self._secret = ""
        self.done: Counter[str] = Counter()  # what happened how often

    async def prepare(self) -> None:
        """The secret that the shop's system signs with."""
        made = await self._waves.shop.call("POST", "/v1/hooks/secret", self._waves.merchant)
        self._secret = made["secret"]

    async def visit(self, buyer: Json, order: Json) -> None:
        """One buyer with an unpaid order."""
        stories = (
            self._pay_cancelled,
            self._pay_expired,
            self._leave,
            self._pay_beside,
            self._told,
        )
        await self._waves.random.choice(stories)(buyer, order)

    async def _pay_cancelled(self, buyer: Json, order: Json) -> None:
        await self._waves.end_order(buyer, order["id"], "cancel")
        await self._pay_twice(buyer, order)

    async def _pay_expired(self, buyer: Json, order: Json) -> None:
        await asyncio.sleep(self._hold_seconds + 0.5)
        await self._pay_twice(buyer, order)

    async def _pay_twice(self, buyer: Json, order: Json) -> None:
        pays = (self._waves.end_order(buyer, order["id"], "pay") for _ in range(2))
        await asyncio.gather(*pays)

    async def _leave(self, buyer: Json, order: Json) -> None:
        """Begins to pay and cancels."""
        await self._begin(buyer, order)
        await self._waves.end_order(buyer, order["id"], "cancel")
        self.done["begun and cancelled"] += 1

    async def _pay_beside(self, buyer: Json, order: Json) -> None:
        """Begins to pay, and pays in another window."""
        await self._begin(buyer, order)
        await self._waves.end_order(buyer, order["id"], "pay")
        self.done["begun and paid by another"] += 1

    async def _begin(self, buyer: Json, order: Json) -> None:
        outcome = self._waves.random.choice(("late", "late", "timeout"))
        await self._waves.start_payment(buyer, order["id"], outcome)

    async def _told(self, buyer: Json, order: Json) -> None:
        """The shop's system tells of payments, for an order in whatever state."""
        match self._waves.random.choice(("cancel", "pay", "begin", "")):
            case "begin":
                await self._leave(buyer, order)
            case "":
                pass
            case end:
                await self._waves.end_order(buyer, order["id"], end)
        one, two, wrong, forged = (secrets.token_hex(6) for _ in range(4))
        await asyncio.gather(
            self.tell(order, one),
            self.tell(order, one),  # two messages about one payment
            self.tell(order, two, copies=2),  # one message twice
            self.tell(order, wrong, too_much=1),
            self.tell(order, forged, is_forged=True),
        )

    async def tell(
        self,
        order: Json,
        payment: str,
        *,
        too_much: int = 0,
        copies: int = 1,
        is_forged: bool = False,
    ) -> None:
        """`order.paid`, until the answer is final; each copy has the same id and bytes."""
        cents = order["amount_cents"] + too_much
        data = {
            "order": order["id"], "payment": payment, "amount_cents": cents,
            "currency": order["currency"],
        }  # fmt: skip
        body = json.dumps({"type": "order.paid", "data": data}).encode()
        facts = {
            "order": order["id"], "provider": f"shop:{order['merchant']}", "payment": payment,
            "amount_cents": cents, "is_wrong": too_much != 0, "is_forged": is_forged,
        }  # fmt: skip
        name = secrets.token_hex(8)
        secret = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
        secret = secret if is_forged else self._secret
        path = f"/v1/hooks/orders/{order['merchant']}"
        await asyncio.gather(
            *(self._insist(path, name, secret, body, facts) for _ in range(copies))
        )
        self.done["forged messages" if is_forged else "messages"] += copies

    async def _insist(self, path: str, name: str, secret: str, body: bytes, facts: Json) -> None:
        waves = self._waves
        while True:
            status, base = 0, waves.random.choice(waves.bases)
            try:
                async with (
                    asyncio.timeout(CALL_SECONDS),
                    waves.shop.session.post(
                        base + path, data=body, headers=_signed(secret, name, body)
                    ) as answer,
                ):
                    await answer.read()
                    status = answer.status
            except (aiohttp.ClientError, OSError, TimeoutError):
                pass  # nobody knows: the same message again
            waves.journal.note("notice", status=status, told=now(), **facts)
            if status in (204, 401, 404, 422):
                return
            await asyncio.sleep(waves.random.uniform(*RETRY_SECONDS))

    async def void_a_sale(self) -> None:
        """Buyers begin to pay, some have paid, and the merchant cancels the sale with `void`."""
        waves = self._waves
        sale = await waves.shop.start_sale(
            waves.merchant, "demo", VOID_SKU, VOID_BUYERS,
            buyers="guest", per_buyer_limit=1, hold_seconds=300, duration_seconds=600,
        )  # fmt: skip
        waves.sales.append(sale)
        waves.journal.note("sale", sale=sale["id"], units=VOID_BUYERS, limit=1)
        buyers = [waves.idle.popleft() for _ in range(min(VOID_BUYERS, len(waves.idle)))]
        try:
            await asyncio.gather(*(
                self._buy(buyer, sale["id"], n % VOID_SHARE_PAID == 0)
                for n, buyer in enumerate(buyers)
            ))  # fmt: skip
        finally:
            waves.idle.extend(buyers)
        path = f"/v1/flash-sales/{sale['id']}/cancel"
        await waves.shop.call("POST", path, waves.merchant, {"orders": "void"})

    async def _buy(self, buyer: Json, sale: str, is_paid: bool) -> None:
        order = await self._waves.reserve(buyer, sale, 1, secrets.token_hex(8))
        if order is None:
            return
        await self._begin(buyer, order)
        if is_paid:
            await self._waves.end_order(buyer, order["id"], "pay")
        self.done["begun and voided"] += 1


def _signed(secret: str, name: str, body: bytes) -> dict[str, str]:
    """The headers of Standard Webhooks."""
    at = str(int(time.time()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{name}.{at}.".encode() + body, "sha256")
    return {
        "Content-Type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": at,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }
