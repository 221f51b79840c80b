"""
Providers of payments: a port, because a shop may have several, and each is far away.

A payment is started with a provider, and from then on only the provider can say how it ends: it
tells (a notice, verified by whoever receives it) or is asked: when the order's deadline has come,
and when the order needs the payment no more, because it has ended or something else has paid it.
"""

from typing import Protocol

import msgspec


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider says of a closed payment: it has the money, or it never will."""

    paid: bool
    amount_cents: int = 0
    currency: str = ""


class NoAnswer(Exception):
    """The provider did not say; ask again later."""


class Provider(Protocol):
    """One provider."""

    async def close(self, payment: "OpenPayment") -> Said:
        """
        Make sure that nobody can pay any more, and tell how it ended.

        Raises:
            NoAnswer: It is not known yet.
        """


class OpenPayment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment whose end is not known, of an order that does not wait for its buyer any more."""

    provider: str
    id: str
    order: str
    amount_cents: int
    currency: str

    @property
    def place(self) -> "Place":
        return self.order, self.provider, self.id


#: Order, provider, id: in this order payments are looked through.
Place = tuple[str, str, str]
FIRST: Place = ("", "", "")
