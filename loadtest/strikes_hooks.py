"""F11: the merchant's webhook endpoints fall ill, each in its own way, and recover."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

from loadtest.journal import now
from loadtest.listeners import ILL
from loadtest.scene import Hit, Missed, Scene, until

EVENT = "order.paid"  # what all of them want: enough to be busy
WELL_SECONDS = 1.5  # before they fall ill
REPLAYED_SECONDS = 30.0  # until everything that was missed has arrived
LEAST = 20  # requests that the well one must get while the others are ill


async def ill_endpoints(scene: Scene) -> Hit:
    """Down, 500, redirect, 410, silent, endless, a name that turns private; then all recover."""
    listeners = scene.hooks
    await register(scene)
    await asyncio.sleep(WELL_SECONDS)
    await scene.waves.middle_of_a_wave()
    at, before = now(), len(listeners.heard["well"])
    await listeners.be_ill()
    await asyncio.sleep(scene.seconds)
    served = len(listeners.heard["well"]) - before
    errors = await last_errors(scene)
    ended = now()
    await listeners.be_well()
    untouched = [name for name in ("broken", "moved", "gone", "slow") if not listeners.asked[name]]
    if not errors["down"]:
        untouched.append("down")
    if not errors["turns"] and not listeners.intruded:
        untouched.append("turns")
    if untouched or not listeners.cut or served < LEAST:
        raise Missed(f"not struck: {untouched}, {listeners.cut} cut, {served} served")
    words = ", ".join(f"{name} {error}" for name, error in sorted(errors.items()) if error)
    return Hit(at, ended, f"the well one got {served} events, {listeners.cut} endless; {words}")


async def register(scene: Scene) -> None:
    """The merchant's endpoints, as the merchant makes them."""
    waves, listeners = scene.waves, scene.hooks
    listeners.journal = waves.journal
    for name in ILL:
        body = {"url": listeners.url(name), "events": [EVENT]}
        made = await waves.shop.call("POST", "/v1/webhook-endpoints", waves.merchant, body)
        listeners.secrets[name] = made["secret"]
        scene.endpoints[name] = made["id"]
        waves.journal.note("listener", name=name, endpoint=made["id"])


async def last_errors(scene: Scene) -> dict[str, str]:
    """What the merchant is told of each endpoint's newest failed delivery; "" if none failed."""
    found = dict.fromkeys(ILL, "")
    for name, endpoint in scene.endpoints.items():
        path = f"/v1/webhook-deliveries?endpoint={endpoint}&limit=100"
        cursor: str | None = ""
        while cursor is not None and not found[name]:  # in trouble, only the oldest are tried
            page = await scene.waves.shop.call("GET", path + cursor, scene.waves.merchant)
            errors = [item["last_error"] for item in page["items"] if item["last_error"]]
            found[name] = errors[0][:60] if errors else ""
            cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
    return found


async def replay_all(scene: Scene) -> None:
    """
    The merchant asks for everything that was missed.

    Raises:
        Missed: The endpoint that said 410 was not switched off.
    """
    waves, listeners = scene.waves, scene.hooks
    gone = f"/v1/webhook-endpoints/{scene.endpoints['gone']}"
    shown = await waves.shop.call("GET", gone, waves.merchant)
    if (shown["state"], shown["disabled_reason"]) != ("disabled", "gone"):
        raise Missed(f"the endpoint that is gone is {shown['state']}")
    await waves.shop.call("PATCH", gone, waves.merchant, {"state": "active"})
    since = (datetime.now(UTC) - timedelta(minutes=10)).isoformat()
    for endpoint in scene.endpoints.values():
        path = f"/v1/webhook-endpoints/{endpoint}/replay"
        await waves.shop.call("POST", path, waves.merchant, {"since": since})
    with contextlib.suppress(Missed):  # then the checker names what never came
        await until(lambda: _same(listeners.heard), "the replay", REPLAYED_SECONDS)


def _same(heard: dict[str, set[str]]) -> bool:
    return all(heard[name] == heard["well"] for name in ILL)
