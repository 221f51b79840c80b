"""
The demo's provider: pays, fails, never answers, or pays so late that only asking it tells.

How it behaves is in the payment's id, so that it remembers nothing and survives every restart.
"""

from orders.payments import OpenPayment, Said

NAME = "demo"
PAY, FAIL, TIMEOUT, LATE = "pay", "fail", "timeout", "late"


def payment_id(order: str, outcome: str) -> str:
    """The id of the order's payment that will end like this; the same again is a repetition."""
    return f"{NAME}_{order}" if outcome == PAY else f"{NAME}_{outcome}_{order}"


class DemoProvider:
    """`orders.payments.Provider` without any money."""

    async def close(self, payment: OpenPayment) -> Said:
        """See `orders.payments.Provider`."""
        if not payment.id.startswith(f"{NAME}_{LATE}_"):
            return Said(paid=False)
        return Said(paid=True, amount_cents=payment.amount_cents, currency=payment.currency)
