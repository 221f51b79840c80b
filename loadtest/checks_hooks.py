"""Checks of what merchants' servers received: W1 only where it may go, W2 all of it, unchanged."""

from collections import defaultdict
from collections.abc import Iterator

from loadtest.books import Run


def nobody_else_hears(run: Run) -> Iterator[str]:
    """W1: no request reaches an address that webhooks are kept from, or a redirect's target."""
    for place in sorted({line["place"] for line in run.journal if line["kind"] == "intruded"}):
        yield f"a webhook arrived at {place}"


def everything_is_heard(run: Run) -> Iterator[str]:
    """W2: whatever is queued for an endpoint arrives there, signed, with the same bytes."""
    endpoints = {x["name"]: x["endpoint"] for x in run.journal if x["kind"] == "listener"}
    heard: dict[str, set[str]] = defaultdict(set)
    bytes_of: dict[str, set[str]] = defaultdict(set)
    for line in run.journal:
        if line["kind"] == "heard":
            bytes_of[line["event"]].add(line["digest"])
            if line["accepted"]:
                heard[line["name"]].add(line["event"])
            if not line["signed"]:
                yield f"{line['name']} got {line['event']} without its signature"
    for event, bodies in bytes_of.items():
        if len(bodies) > 1:
            yield f"event {event} has {len(bodies)} bodies"
    for name, endpoint in endpoints.items():
        queued = {x["event_id"] for x in run.books.deliveries if x["endpoint"] == endpoint}
        missing, strange = queued - heard[name], heard[name] - queued
        if missing:
            yield f"{name} never got {len(missing)} of {len(queued)} events"
        if strange:
            yield f"{name} got {len(strange)} events that are not queued"
