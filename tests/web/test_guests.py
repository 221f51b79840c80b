"""Two thousand guest sessions of one address and fifty units, over real HTTP."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from liveserver.identity import Identity
from liveserver.problems import Refused
from liveserver.rpc import Rpc
from liveserver.web.limits import RATES
from orders.errors import Refusal
from tests.web.conftest import live_room
from tests.web.shop import Shop, open_shop

GUESTS, UNITS = 2_000, 50
AT_ONCE = 100  # connections of the test's own client


async def storm(shop: Shop, sale: str) -> Counter[int]:
    """Every guest asks for one unit; how often each status was answered."""
    statuses: Counter[int] = Counter()
    gate = asyncio.Semaphore(AT_ONCE)

    async def ask(n: int) -> None:
        token = shop.token("viewer", f"guest_{n}", guest=True)
        path = f"/v1/flash-sales/{sale}/reservations"
        headers = {"Idempotency-Key": "k"}
        async with gate, shop.call("POST", path, token, json={}, headers=headers) as answer:
            statuses[answer.status] += 1
            if answer.status == 429:
                assert int(answer.headers["Retry-After"]) >= 1

    await asyncio.gather(*(ask(n) for n in range(GUESTS)))
    return statuses


async def by_socket(shop: Shop, sale: str) -> Counter[str]:
    """The same as the viewer socket hands it over, all at once; how often each refusal was told."""
    rpc, told = Rpc(shop.services), Counter[str]()
    done = asyncio.Event()

    def answered(result: bytes | Exception) -> None:
        told[result.problem if isinstance(result, Refusal) else "order"] += 1
        if told.total() == GUESTS:
            done.set()

    wish = b'{"flash_sale":"%s","quantity":1,"key":"s"}' % sale.encode()
    for n in range(GUESTS):
        guest = Identity(user=f"guest_{n}", name="g", role="viewer", guest=True)
        assert rpc.begin(guest, "reserve", wish, answered)
    await asyncio.wait_for(done.wait(), 20)
    return told


async def limited(shop: Shop) -> Counter[str]:
    """What `/metrics` counts of the limits, by kind."""
    async with shop.call("GET", "/metrics", shop.token("admin")) as answer:
        text = await answer.text()
    families = {one.name: one for one in text_string_to_metric_families(text)}
    samples = families["liveserver_http_requests_limited"].samples
    totals = (one for one in samples if one.name.endswith("_total"))
    return Counter({one.labels["kind"]: int(one.value) for one in totals})


async def test_guests_get_nothing_of_a_sale_for_accounts(shop: Shop, room: str) -> None:
    """However many sessions somebody opens; a buyer with an account gets a unit afterwards."""
    sale = await shop.sale(room, units=UNITS, buyers="account")
    assert await storm(shop, sale["id"]) == {403: GUESTS}
    assert await by_socket(shop, sale["id"]) == {"forbidden": GUESTS}
    assert (await shop.json("GET", f"/v1/flash-sales/{sale['id']}"))["units_left"] == UNITS
    await shop.order(sale, shop.token("viewer", "ann"))


async def test_in_a_sale_for_guests_the_limit_of_their_network_is_counted(
    sqlite_url: str, redis_url: str, tmp_path: Path, unique: str
) -> None:
    """With LIMIT_LOOPBACK: a burst passes, all else is told when to come back, each one counted."""
    async with open_shop(sqlite_url, redis_url, tmp_path / "data", limit_loopback=True) as shop:
        sale = await shop.sale(await live_room(shop, unique), units=UNITS, buyers="guest")
        statuses = await storm(shop, sale["id"])
        assert statuses.keys() <= {201, 409, 429}
        assert statuses[201] == UNITS
        refused = await limited(shop)
        assert refused["guest"] > 0
        assert refused["guest"] + refused["reserve"] == statuses[429]
        assert statuses[201] + statuses[409] >= RATES["guest"].burst


async def test_the_viewer_socket_takes_from_the_same_limit(shop: Shop) -> None:
    """One network, whatever it calls to hold units; likes and buyers with an account go on."""
    rpc = Rpc(shop.services)
    guest = Identity(user="g", name="g", role="viewer", guest=True)
    for number in range(int(RATES["guest"].burst)):
        rpc.limit(guest, "reserve", f"203.0.113.{number % 250}")
    with pytest.raises(Refused, match="Too many"):
        rpc.limit(guest, "waitlist.join", "203.0.113.251")
    rpc.limit(guest, "like", "203.0.113.251")
    rpc.limit(guest, "reserve", "203.0.112.1")
    rpc.limit(guest, "reserve", "")
    rpc.limit(Identity(user="ann", name="ann", role="viewer"), "reserve", "203.0.113.251")
    assert await limited(shop) == {"guest": 1}
