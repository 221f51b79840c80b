"""The unmodified official JavaScript SDK, in Node with its built-in WebSocket."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from rooms.channels import topic_of
from tests.gateway.conftest import Serve
from tests.gateway.support import SECRET, Place
from tests.gateway.test_commands import subscription_tokens
from tests.sdk.test_python import drop_everyone

NODE = Path(sys.prefix) / "bin" / "node"
SCENARIO = Path(__file__).with_name("scenario.mjs")
SECONDS = 60.0


class Steps:
    """What the scenario asks the server to do."""

    def __init__(self, place: Place, user: str, channel: str) -> None:
        self._place, self._user, self._channel = place, user, channel

    async def do(self, what: str) -> None:
        place, channel = self._place, self._channel
        match what:
            case "tell":
                await place.rooms.tell_user(self._user, {"type": "order.updated", "order": "o1"})
            case "drop and publish 2, 3":
                await drop_everyone(place)
                await place.publish(channel, {"n": 2})
                await place.publish(channel, {"n": 3})
            case "publish 4":
                await place.publish(channel, {"n": 4})
            case "lose the state":
                await place.bus._redis.delete(f"ls:{{{topic_of(channel)}}}:m:{channel}")
            case _:
                raise AssertionError(what)


@pytest.mark.parametrize("form", ["json", "protobuf"])
async def test_the_javascript_sdk_does_all_it_can(serve: Serve, unique: str, form: str) -> None:
    """
    Connect with and without token, tokens renewed in time, personal channel, RPC, subscribe with a
    token, publish, history, presence, recovery across a reconnect, a lost state, refusals.
    """
    channel, user = unique, f"u{unique}"
    async with serve() as place:
        names = {
            "channel": channel,
            "token": subscription_tokens(place, channel)(user),
            "secret": SECRET,
            "user": user,
            "personal": f"#{user}",
        }
        node = await asyncio.create_subprocess_exec(
            NODE, SCENARIO, place.url, place.token(user), json.dumps(names), form,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        steps, done = Steps(place, user, channel), False
        assert node.stdin and node.stdout and node.stderr
        try:
            async with asyncio.timeout(SECONDS):
                while line := await node.stdout.readline():
                    what = json.loads(line)["do"]
                    done = what == "done"
                    if not done:
                        await steps.do(what)
                        node.stdin.write(b"{}\n")
                errors = (await node.stderr.read()).decode()
                assert await node.wait() == 0, errors
        finally:
            if node.returncode is None:
                node.kill()
                await node.wait()
        assert done
