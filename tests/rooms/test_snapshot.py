"""An old snapshot and the events since make the room of now: at random, on a real Valkey."""

import asyncio
import json
import random
from typing import Any

import pytest

from rooms import room as rules
from rooms import snapshot
from rooms.bus import Position, Snapshot
from rooms.bus_redis import RedisBus
from rooms.state_service import change_messages

SHOWN = ("room", "shelf", "pinned", "notice", "flash_sales", "chat_rules", "video")
STARTS = ("2026-09-21T14:00:00.000Z", "2026-09-21T15:00:00.000Z", "2026-09-21T16:00:00.000Z")


def as_seen(found: Snapshot) -> dict[str, Any]:
    """The state in the snapshot as a page reads it."""
    body = json.loads(snapshot.encode(found, 0))
    return {part: body[part] for part in SHOWN}


def random_change(dice: random.Random, room: str) -> tuple[dict[str, Any], int]:
    """A state event with a version that may be late."""
    version = dice.randrange(1, 200)
    match dice.randrange(6):
        case 0:
            return {"type": "room.notice", "text": dice.choice([None, f"n{version}"])}, version
        case 1:
            return {"type": "shelf.pinned", "product_id": dice.choice([None, "p1", "p2"])}, version
        case 2:
            items = [{"id": f"p{n}", "stock": version} for n in range(dice.randrange(4))]
            return {"type": "shelf.updated", "items": items}, version
        case 3:
            rules_of_chat = {"slow_mode_seconds": version, "muted_all": False, "links": True}
            return {"type": "chat.rules", **rules_of_chat}, version
        case 4:
            started = {"id": room, "started_at": STARTS[version // 70], "show": f"s{version}"}
            return {"type": "room.started", "room": started}, version
        case _:
            sale = {
                "id": f"fs_{dice.randrange(3)}",
                "starts_at": STARTS[0],
                "ends_at": dice.choice(STARTS),
                "state": dice.choice(["running", "ended", "cancelled"]),
                "version": version,
            }
            return {"type": "flash_sale.updated", "flash_sale": sale}, version


async def publish_at_random(bus: RedisBus, room: str, dice: random.Random) -> None:
    for _ in range(25):
        changes = [random_change(dice, room) for _ in range(dice.randrange(1, 4))]
        await bus.publish(room, change_messages(room, changes, 0))


async def watch(bus: RedisBus, room: str, seen: list[Snapshot]) -> None:
    for _ in range(15):
        found = await bus.snapshot(room)
        assert found is not None
        seen.append(found)


@pytest.mark.parametrize("seed", range(8))
async def test_an_old_snapshot_and_the_events_since_are_the_room_of_now(
    redis_url: str, unique: str, seed: int
) -> None:
    """Two nodes change the room, late versions included, while a third takes snapshots."""
    nodes = [RedisBus(redis_url, f"{unique}{n}") for n in range(3)]
    seen: list[Snapshot] = []
    first = {"id": unique, "started_at": None, "show": None}
    await nodes[0].restore(unique, {"room": (json.dumps(first).encode(), 0)})
    await asyncio.gather(
        publish_at_random(nodes[0], unique, random.Random(f"{seed}a")),
        publish_at_random(nodes[1], unique, random.Random(f"{seed}b")),
        watch(nodes[2], unique, seen),
    )
    now = await nodes[0].snapshot(unique)
    assert now is not None
    history = await nodes[0].history(unique, f"room:{unique}", since=None, limit=-1)
    for old in seen:
        assert old.position.epoch == now.position.epoch
        state = as_seen(old)
        for publication in history.publications:
            if publication.offset > old.position.offset:
                state = rules.apply(state, json.loads(publication.data))
        assert state == as_seen(now), f"seed {seed}, from offset {old.position.offset}"
    for node in nodes:
        await node.close()


def test_a_snapshot_has_every_key_even_when_nothing_happened() -> None:
    """Pages need not ask whether a key is there."""
    body = json.loads(snapshot.encode(Snapshot({}, Position("e", 0), 2, 3), 17))
    assert body == {
        **rules.empty(),
        "stats": {"online": 2, "likes": 3},
        "position": {"epoch": "e", "offset": 0},
        "server_time": 17,
    }
