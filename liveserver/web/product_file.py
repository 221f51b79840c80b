"""
A file of products: CSV (RFC 4180) with a head line of field names, or JSON `{"items": […]}`.

The whole file is checked before anything is done, and every mistake is told with its line. An empty
cell means that the field is left out.
"""

import csv
import io
from collections.abc import Sequence
from typing import Any

import msgspec

from liveserver.problems import Refused
from liveserver.web.read import UNFIT, decode
from liveserver.web.requests.products import NewProduct, ProductFile
from liveserver.web.route import JSON

CSV = "text/csv"
MEDIA = (CSV, JSON)
ROWS_MAX = 1_000
TOO_MANY = f"A file has at most {ROWS_MAX} products; send several."
MISTAKES_MAX = 20  # told at once
FIELDS = tuple(field.name for field in msgspec.structs.fields(NewProduct))
NUMBERS = ("price_cents", "stock", "list_price_cents")


def parse(data: bytes, media: str) -> list[NewProduct]:
    """
    The products of a file, in its order.

    Raises:
        Refused: `unsupported-media-type`, or `validation` with `errors: [{line, detail}]`.
    """
    if media == JSON:
        file: ProductFile = decode(data, ProductFile)
        return _checked(list(enumerate(file.items, start=1)), [])
    if media == CSV:
        return _from_csv(data)
    raise Refused("unsupported-media-type", f"Send one of {', '.join(MEDIA)}.")


def _from_csv(data: bytes) -> list[NewProduct]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused("validation", f"The file is not UTF-8: {error}.", status=400) from None
    head = text.partition("\n")[0]
    separator = max(",;\t", key=head.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    good: list[tuple[int, NewProduct]] = []
    bad: list[tuple[int, str]] = []
    try:
        reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
        _check_head(reader.fieldnames)
        for row in reader:
            if not any(isinstance(cell, str) and cell.strip() for cell in row.values()):
                continue  # spreadsheets end with such lines
            if len(good) + len(bad) == ROWS_MAX:
                raise Refused("validation", TOO_MANY)
            try:
                good.append((reader.line_num, _product(row)))
            except msgspec.ValidationError as error:
                bad.append((reader.line_num, f"{error}."))
    except csv.Error as error:
        raise Refused("validation", f"Line {reader.line_num} is no CSV: {error}.") from None
    return _checked(good, bad)


def _check_head(names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in FIELDS]
    missing = [name for name in ("sku", "title", "price_cents", "currency") if name not in names]
    if unknown or missing or len(set(names)) < len(names):
        raise Refused(
            "validation",
            "The first line names the columns, each once: sku, title, price_cents and currency, "
            f"and as you like {', '.join(name for name in FIELDS[4:])}.",
            unknown=unknown,
            missing=missing,
        )


def _product(row: dict[Any, Any]) -> NewProduct:
    """Raises msgspec.ValidationError."""
    if None in row:
        raise msgspec.ValidationError("There are more cells than columns")
    cells: dict[str, Any] = {name: cell.strip() for name, cell in row.items() if cell}
    cells = {name: cell for name, cell in cells.items() if cell}
    if any(UNFIT.search(cell) for cell in cells.values()):
        raise msgspec.ValidationError("Text may not hold control characters")
    for name in NUMBERS:
        if name in cells:
            cells[name] = _number(cells[name], name)
    return msgspec.convert(cells, NewProduct)


def _number(cell: str, name: str) -> int:
    if not (cell.isascii() and cell.isdigit() and len(cell) <= 15):
        raise msgspec.ValidationError(f"{name} is a whole number, not {cell[:20]!r}")
    return int(cell)


def _checked(good: list[tuple[int, NewProduct]], bad: list[tuple[int, str]]) -> list[NewProduct]:
    """What is right by itself, and together: not too many, each SKU once."""
    if len(good) > ROWS_MAX:
        raise Refused("validation", TOO_MANY)
    first: dict[str, int] = {}
    for line, product in good:
        before = first.setdefault(product.sku, line)
        if before != line:
            bad.append((line, f"The SKU {product.sku} is in line {before} already."))
    if bad:
        told = [{"line": line, "detail": detail} for line, detail in sorted(bad)[:MISTAKES_MAX]]
        raise Refused(
            "validation",
            f"Nothing was imported: {len(bad)} lines are wrong. Line {told[0]['line']}: "
            f"{told[0]['detail']}",
            errors=told,
        )
    if not good:
        raise Refused("validation", "There is no product in the file.")
    return [product for _, product in good]
