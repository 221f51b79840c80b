"""Many products from one file."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liveserver.problems import Refused
from liveserver.web import product_file
from tests.web.shop import Shop

HEAD = "sku,title,price_cents,currency,stock,description\n"
IMPORT = "/v1/products/import"


async def send(
    shop: Shop, data: str, merchant: str, media: str = "text/csv", status: int = 200
) -> Any:
    token = shop.token("merchant", merchant=merchant)
    return await shop.json(
        "POST", IMPORT, token, data=data.encode(), headers={"Content-Type": media}, status=status
    )


async def products(shop: Shop, merchant: str) -> dict[str, Any]:
    token = shop.token("merchant", merchant=merchant)
    listed = await shop.json("GET", "/v1/products?limit=200", token)
    return {item["sku"]: item for item in listed["items"]}


async def test_a_file_makes_products_and_sent_again_changes_nothing(shop: Shop) -> None:
    data = HEAD + 'tea,"Tea, green",900,EUR,5,"It says ""hot"""\npot,Pot,2900,EUR,,\n'
    first = await send(shop, data, "shop-i1")
    assert (first["created"], first["changed"], first["same"]) == (2, 0, 0)
    known = await products(shop, "shop-i1")
    assert known["tea"]["title"] == "Tea, green" and known["tea"]["stock"] == 5
    assert known["tea"]["description"] == 'It says "hot"' and known["pot"]["stock"] == 0
    again = await send(shop, data, "shop-i1")
    assert (again["created"], again["changed"], again["same"]) == (0, 0, 2)
    assert [item["product_id"] for item in again["items"]] == [
        known["tea"]["id"],
        known["pot"]["id"],
    ]


async def test_known_products_change_but_not_their_stock(shop: Shop) -> None:
    await send(shop, HEAD + "tea,Tea,900,EUR,5,Good\n", "shop-i2")
    result = await send(shop, HEAD + "tea,Tea,1000,EUR,50,\ncup,Cup,1,EUR,1,\n", "shop-i2")
    assert [item["result"] for item in result["items"]] == ["changed", "created"]
    tea = (await products(shop, "shop-i2"))["tea"]
    assert (tea["price_cents"], tea["stock"], tea["description"]) == (1000, 5, "Good")


async def test_a_file_with_a_mistake_imports_nothing(shop: Shop) -> None:
    rows = ["tea,Tea,900,EUR,5,", "pot,,900,EUR,5,", "cup,Cup,9.5,EUR,,", "tea,Tea,900,EUR,,"]
    answer = await send(shop, HEAD + "\n".join(rows), "shop-i3", status=422)
    assert [error["line"] for error in answer["errors"]] == [3, 4, 5]
    assert "whole number" in answer["errors"][1]["detail"]
    assert "line 2" in answer["errors"][2]["detail"]
    assert not await products(shop, "shop-i3")


async def test_a_file_sent_twice_at_once_makes_each_product_once(shop: Shop) -> None:
    """As by a client that gave up waiting; the stock of the first counts."""
    data = HEAD + "".join(f"s{n},Thing,900,EUR,5,\n" for n in range(60))
    results = await asyncio.gather(*(send(shop, data, "shop-i6") for _ in range(3)))
    assert sum(result["created"] for result in results) == 60
    known = await products(shop, "shop-i6")
    assert len(known) == 60 and {item["stock"] for item in known.values()} == {5}


async def test_a_currency_cannot_change(shop: Shop) -> None:
    await send(shop, HEAD + "tea,Tea,900,EUR,5,\n", "shop-i4")
    answer = await send(shop, HEAD + "cup,Cup,1,USD,,\ntea,Tea,900,USD,5,\n", "shop-i4", status=422)
    assert "EUR" in answer["detail"] and set(await products(shop, "shop-i4")) == {"tea"}


async def test_json_is_taken_too_and_other_things_are_not(shop: Shop) -> None:
    item = '{"sku":"tea","title":"Tea","price_cents":900,"currency":"EUR"}'
    made = await send(shop, f'{{"items":[{item}]}}', "shop-i5", "application/json")
    assert made["created"] == 1
    await send(shop, "PK", "shop-i5", "application/vnd.ms-excel", status=415)
    await send(shop, "{", "shop-i5", "application/json", status=400)
    await send(shop, '{"items":[]}', "shop-i5", "application/json", status=422)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_what_spreadsheets_write(separator: str, ends: str) -> None:
    """A byte order mark, Windows' line ends, and the separators of other languages."""
    rows = [["sku", "title", "currency", "price_cents"], ["tea", "绿茶", "CNY", "900"]]
    data = "\ufeff" + ends.join(separator.join(row) for row in rows) + ends
    blank = separator.join(["", " ", "", ""]) + ends
    (found,) = product_file.parse((data + blank).encode(), "text/csv")
    assert (found.sku, found.title, found.price_cents) == ("tea", "绿茶", 900)


def test_blanks_around_a_cell_make_no_other_sku() -> None:
    data = " sku , title,price_cents,currency\n tea ,Tea, 900 ,EUR\ntea,Tea,900,EUR\n"
    with pytest.raises(Refused) as refused:
        product_file.parse(data.encode(), "text/csv")
    assert "already" in refused.value.detail


def test_a_file_of_too_many_lines_is_not_read_to_its_end() -> None:
    data = HEAD.encode() + b"a\n" * 100_000
    with pytest.raises(Refused) as refused:
        product_file.parse(data, "text/csv")
    assert "at most 1000" in refused.value.detail


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff\xfe", b"sku\n", b"sku,title,price_cents,currency,colour\na,b,1,EUR,red\n",
        b"sku,sku,title,price_cents,currency\na,a,b,1,EUR\n",
        b"sku,title,price_cents,currency\na,b,1,EUR,5\n",
        b"sku,title,price_cents,currency\na,b,1\n",
        b'sku,title,price_cents,currency\n"a,b,1,EUR\n',
        b"sku,title,price_cents,currency\na,b\x00,1,EUR\n",
        b"sku,title,price_cents,currency\n" + b"x" * 200_000,
        b"sku,title,price_cents,currency\n" + "a,b,١,EUR\n".encode(),
    ],
)  # fmt: skip
def test_broken_files_are_told_so(data: bytes) -> None:
    with pytest.raises(Refused) as refused:
        product_file.parse(data, "text/csv")
    assert refused.value.problem == "validation"


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: (HEAD + text).encode()))
def test_any_bytes_are_products_or_refused(data: bytes) -> None:
    try:
        assert product_file.parse(data, "text/csv")
    except Refused as refused:
        assert refused.problem == "validation"
