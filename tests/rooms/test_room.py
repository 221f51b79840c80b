"""The fold: an old room and an event make the new room, the same in Python and in the pages."""

import json
from copy import deepcopy
from pathlib import Path

import pytest

from rooms import room

GOLDEN = sorted((Path(__file__).resolve().parent.parent / "wire").glob("*.json"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_the_fold_agrees_with_the_golden_file(path: Path) -> None:
    """`after` is what `event` makes of `before`, and `before` is left as it was."""
    golden = json.loads(path.read_text(encoding="utf-8"))
    before = deepcopy(golden["before"])
    assert room.apply(golden["before"], golden["event"]) == golden["after"], golden["why"]
    assert golden["before"] == before


def test_every_type_that_has_a_part_has_a_golden_file() -> None:
    """A new event type is not forgotten in the pages."""
    covered = {json.loads(path.read_text(encoding="utf-8"))["event"]["type"] for path in GOLDEN}
    assert set(room._PARTS) <= covered


def test_the_same_event_twice_is_the_same_as_once() -> None:
    """A repeat after a reconnect does no harm."""
    for path in GOLDEN:
        golden = json.loads(path.read_text(encoding="utf-8"))
        assert room.apply(golden["after"], golden["event"]) == golden["after"], path.stem


def test_state_of_the_parts_is_the_state_that_the_events_made() -> None:
    """What the bus keeps in parts is what the fold of the same events gives."""
    state = room.empty()
    parts: dict[str, object] = {}
    for path in GOLDEN:
        event = json.loads(path.read_text(encoding="utf-8"))["event"]
        state = room.apply(state, event)
        change = room.part_of(event)
        if change and not (
            change[0].startswith(room.SALE_PREFIX)
            and change[0] in parts
            and parts[change[0]]["version"] >= change[1]["version"]  # type: ignore[index]
        ):
            parts[change[0]] = change[1]
    assert {**room.state_of(parts), "stats": None} == {**state, "stats": None}
