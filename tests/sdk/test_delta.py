"""Differences by both unmodified SDKs, across a lost connection."""

import asyncio
import json
from pathlib import Path

import pytest
from centrifuge import DeltaType

from tests.gateway.support import PATIENCE, Place
from tests.sdk.test_javascript import NODE, SECONDS
from tests.sdk.test_python import Events, drop_everyone, sdk

SCENARIO = Path(__file__).with_name("delta.mjs")
FILLER = "商品" * 100


async def test_the_python_sdk_applies_differences(open_place: Place, unique: str) -> None:
    """Live, over a reconnect with recovery, and live again: every payload as it was published."""
    place, channel = open_place, f"delta:{unique}"
    async with sdk(place, token=place.token("u1")) as (client, _):
        events = Events()
        subscription = client.new_subscription(channel, events=events, delta=DeltaType.FOSSIL)
        await subscription.subscribe()
        await subscription.ready(PATIENCE)
        for n in (1, 2, 3):
            await place.publish(channel, {"n": n, "text": FILLER})
        await events.until(lambda: len(events.data()) == 3)
        await drop_everyone(place)
        await place.publish(channel, {"n": 4, "text": FILLER})
        await place.publish(channel, {"n": 5, "text": FILLER})
        await events.until(lambda: len(events.data()) == 5)
        await place.publish(channel, {"n": 6, "text": FILLER})
        await events.until(lambda: len(events.data()) == 6)
        assert events.data() == [{"n": n, "text": FILLER} for n in range(1, 7)]
        assert events.of("subscribed")[1].recovered


@pytest.mark.parametrize("form", ["json", "protobuf"])
async def test_the_javascript_sdk_applies_differences(
    open_place: Place, unique: str, form: str
) -> None:
    """The same, checked by the scenario itself, in both forms."""
    place, channel = open_place, f"delta:{unique}"
    node = await asyncio.create_subprocess_exec(
        NODE, SCENARIO, place.url, place.token("u1"), channel, form,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert node.stdin and node.stdout and node.stderr
    done = False
    try:
        async with asyncio.timeout(SECONDS):
            while line := await node.stdout.readline():
                done = json.loads(line)["do"] == "done"
                if not done:
                    await drop_everyone(place)
                    node.stdin.write(b"{}\n")
            errors = (await node.stderr.read()).decode()
            assert await node.wait() == 0, errors
    finally:
        if node.returncode is None:
            node.kill()
            await node.wait()
    assert done
