"""Money is an integer in the currency's minor unit, never a float."""

from orders.errors import Invalid

MAX_CENTS = 10**12  # of a price, an order, a payment: a typing mistake beyond
MAX_UNITS = 10**9  # more pieces of one product than any warehouse holds


def check_cents(value: object, name: str) -> int:
    """`value` as a price in the minor unit: an integer from 0 to `MAX_CENTS`."""
    return check_integer(value, name, least=0, most=MAX_CENTS)


def check_integer(value: object, name: str, *, least: int, most: int) -> int:
    """`value` as an integer within bounds; a bool, a float or a text is none."""
    if type(value) is not int or not least <= value <= most:
        raise Invalid(f"{name} must be an integer from {least} to {most}", field=name)
    return value


def check_currency(value: object) -> str:
    """An ISO 4217 code: three capital letters."""
    if not (isinstance(value, str) and len(value) == 3 and value.isascii() and value.isupper()):
        raise Invalid("currency must be three capital letters, such as EUR", field="currency")
    return value
