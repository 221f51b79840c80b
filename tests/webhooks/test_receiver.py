"""The sample receiver as merchants start it: a process of its own."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from standardwebhooks import Webhook

from orders.addresses import Policy
from orders.webhooks import make_secret
from orders.webhooks_http import HttpSender
from orders.webhooks_service import Webhooks
from orders.webhooks_sql import SqlWebhooks
from tests.webhooks.parts import Clock, ListFeed, settle

RECEIVER = Path(__file__).resolve().parents[2] / "examples" / "merchant_receiver.py"
SECRET = make_secret(bytes(range(32)))


@dataclass
class Merchant:
    url: str
    port: int
    folder: Path
    process: asyncio.subprocess.Process

    def events(self) -> list[dict[str, object]]:
        file = self.folder / "events.jsonl"
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[Merchant]:
    """The receiver on a free port; stopped at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(RECEIVER), "--port=0", f"--secret-file={folder / 'secret'}",
        f"--events={folder / 'events.jsonl'}", "--end-with-stdin",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None and process.stdin is not None
    async with asyncio.timeout(30):
        line = (await process.stdout.readline()).decode()
    found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
    assert found, line
    yield Merchant(found.group(), int(found.group(1)), folder, process)
    process.stdin.close()
    async with asyncio.timeout(30):
        assert await process.wait() == 0, "it ends when its starter is gone"


@pytest.fixture
async def merchant(tmp_path: Path) -> AsyncIterator[Merchant]:
    (tmp_path / "secret").write_text(SECRET)
    async with started(tmp_path) as merchant:
        yield merchant


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client:
        yield client


def signed(body: str, webhook_id: str = "evt_1", secret: str = SECRET) -> dict[str, str]:
    """Headers as another sender of Standard Webhooks makes them, for now."""
    now = datetime.now(UTC)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, now, body),
    }


BODY = '{"type":"order.paid","timestamp":"2026-01-31T12:00:00.000Z","data":{"order":{"id":"陶杯"}}}'


async def post(client: aiohttp.ClientSession, url: str, body: str, headers: dict[str, str]) -> str:
    async with client.post(url, data=body.encode(), headers=headers) as response:
        return f"{response.status} {await response.text()}"


async def test_a_verified_event_is_kept_once(
    merchant: Merchant, client: aiohttp.ClientSession
) -> None:
    """A repetition is answered with success, or it would never end."""
    assert await post(client, merchant.url, BODY, signed(BODY)) == "200 Stored.\n"
    assert await post(client, merchant.url, BODY, signed(BODY)) == "200 Known already.\n"
    assert await post(client, merchant.url, BODY, signed(BODY, "evt_2")) == "200 Stored.\n"
    assert [event["webhook_id"] for event in merchant.events()] == ["evt_1", "evt_2"]
    assert merchant.events()[0]["data"] == {"order": {"id": "陶杯"}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"webhook-signature": "v1,AAAA"}, "No matching signature"),
        ({"webhook-signature": "nonsense"}, "400 Not accepted"),
        ({"webhook-signature": "v1,$$$"}, "400 Not accepted"),
        ({"webhook-timestamp": "1"}, "too old"),
        ({"webhook-timestamp": "99999999999"}, "too new"),
        ({"webhook-timestamp": "now"}, "400 Not accepted"),
        ({"webhook-id": "evt_9"}, "No matching signature"),
        ({"webhook-id": ""}, "Missing required headers"),
    ],
)
async def test_what_is_not_genuine_is_refused_in_words(
    merchant: Merchant, client: aiohttp.ClientSession, change: dict[str, str], words: str
) -> None:
    """And never kept."""
    answer = await post(client, merchant.url, BODY, signed(BODY) | change)
    assert answer.startswith("400 Not accepted: ") and words in answer
    assert not (merchant.folder / "events.jsonl").exists()


async def test_a_changed_body_is_refused(merchant: Merchant, client: aiohttp.ClientSession) -> None:
    """Also one that is not text, none at all, and a signed one that is no event."""
    headers = signed(BODY)
    assert (await post(client, merchant.url, BODY + " ", headers)).startswith("400 ")
    assert (await post(client, merchant.url, "", headers)).startswith("400 ")
    async with client.post(merchant.url, data=b"\xff\xfe", headers=headers) as response:
        assert response.status == 400
    for body in ("[]", "{}", "no json", "7"):
        assert (await post(client, merchant.url, body, signed(body))).startswith("400 ")


async def test_the_page_shows_events_as_text(
    merchant: Merchant, client: aiohttp.ClientSession
) -> None:
    """Markup in an order is not markup on the page."""
    body = BODY.replace("陶杯", "<script>alert(1)</script>")
    await post(client, merchant.url, body, signed(body))
    async with client.get(merchant.url) as response:
        text = await response.text()
    assert "order.paid" in text and "&lt;script&gt;" in text and "<script>" not in text
    async with client.get(merchant.url + "events.json") as response:
        assert (await response.json())["count"] == 1


async def test_it_remembers_over_a_restart(tmp_path: Path, client: aiohttp.ClientSession) -> None:
    """The file is the memory. The secret may come after the start."""
    async with started(tmp_path) as merchant:
        assert "no secret is known yet" in await post(client, merchant.url, BODY, signed(BODY))
        (tmp_path / "secret").write_text(SECRET + "\n")
        assert await post(client, merchant.url, BODY, signed(BODY)) == "200 Stored.\n"
    async with started(tmp_path) as merchant:
        assert await post(client, merchant.url, BODY, signed(BODY)) == "200 Known already.\n"


async def test_a_line_cut_off_by_a_crash_is_forgotten(
    tmp_path: Path, client: aiohttp.ClientSession
) -> None:
    """It was never answered, so it comes again."""
    (tmp_path / "secret").write_text(SECRET)
    whole = '{"webhook_id":"evt_0","received_at":"","type":"t","timestamp":"","data":{}}\n'
    (tmp_path / "events.jsonl").write_text(whole + '{"webhook_id":"evt_1","rec')
    async with started(tmp_path) as merchant:
        assert await post(client, merchant.url, BODY, signed(BODY)) == "200 Stored.\n"
        assert [event["webhook_id"] for event in merchant.events()] == ["evt_0", "evt_1"]


async def test_it_accepts_two_secrets_while_one_is_rotated(
    merchant: Merchant, client: aiohttp.ClientSession
) -> None:
    """One a line."""
    new = make_secret(bytes(32))
    (merchant.folder / "secret").write_text(f"{new}\n{SECRET}\n")
    assert (await post(client, merchant.url, BODY, signed(BODY, "evt_1"))).startswith("200")
    assert (await post(client, merchant.url, BODY, signed(BODY, "evt_2", new))).startswith("200")


async def test_our_deliveries_are_accepted(
    merchant: Merchant, store: SqlWebhooks, feed: ListFeed, clock: Clock
) -> None:
    """The whole way, over both secrets of a rotation, with the clock of now."""
    clock.ms = int(datetime.now(UTC).timestamp() * 1000)
    policy = Policy(exempt=frozenset({("127.0.0.1", merchant.port)}))
    sender = HttpSender(policy)
    webhooks = Webhooks(
        store, sender, feed, clock, lambda prefix: f"{prefix}_1",
        random_bytes=lambda count: bytes(range(100, 100 + count)), policy=policy,
    )  # fmt: skip
    made = await webhooks.create("shop", merchant.url)
    (merchant.folder / "secret").write_text(made.secret)
    feed.add(at=clock.ms, data='{"order":{"id":"ord_1"}}')
    await settle(webhooks)
    await sender.close()
    [event] = merchant.events()
    assert (event["type"], event["data"]) == ("order.paid", {"order": {"id": "ord_1"}})
