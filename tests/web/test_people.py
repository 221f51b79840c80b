"""Accounts and settings on both databases."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from liveserver.db import make_engine
from liveserver.migrate import upgrade
from liveserver.people import FAILURE_WINDOW_MS, FAILURES_MAX, People
from liveserver.people_sql import SqlPeople
from liveserver.problems import Refused


class Clock:
    """Wall clock in milliseconds that only the test moves."""

    def __init__(self) -> None:
        self.ms = 1_800_000_000_000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def people(database_url: str, clock: Clock) -> AsyncIterator[People]:
    await upgrade(database_url)
    write, read = make_engine(database_url), make_engine(database_url, read_only=True)
    opened = People(SqlPeople(write, read), now=clock)
    await opened.start()
    yield opened
    await opened.close()
    await write.dispose()
    await read.dispose()


async def refusal(work: object) -> str:
    """The name of the problem that this ends in."""
    with pytest.raises(Refused) as caught:
        await work  # type: ignore[misc]
    return caught.value.problem


async def test_an_account_keeps_what_it_was_given(people: People) -> None:
    """Also through the database: rooms in order, the shop, the shown name."""
    await people.add("ann", "right horse", "streamer", rooms=("b", "a", "b"), display_name="Ann 主")
    await people.add("tea", "right horse", "merchant")
    ann, tea = await people.get("ann"), await people.get("tea")
    assert (ann.rooms, ann.display_name, ann.role) == (("b", "a"), "Ann 主", "streamer")
    assert tea.merchant == "tea"
    assert [account.name for account in await people.list()] == ["ann", "tea"]
    assert [account.name for account in await people.list(after="ann")] == ["tea"]
    identity = await people.authenticate(" ANN ", "right horse")
    assert identity.user == "ann" and identity.rooms == ("b", "a")


@pytest.mark.parametrize("name", ["", "Ann", "guest_1", "a b", "#a", "a:b", "-a", "x" * 41, "ä"])
async def test_names_that_would_confuse_channels_or_guests_are_refused(
    people: People, name: str
) -> None:
    """An account name is a `sub`: it stands in channels and must never be a guest's."""
    assert await refusal(people.add(name, "right horse", "viewer")) == "validation"


async def test_a_name_is_taken_once(people: People) -> None:
    """Two at the same moment: one gets it."""
    both = await asyncio.gather(
        people.add("ann", "right horse", "viewer"),
        people.add("ann", "other horse", "admin"),
        return_exceptions=True,
    )
    assert [type(one) for one in both].count(Refused) == 1
    assert await refusal(people.add("ann", "right horse", "viewer")) == "invalid-state"


async def test_ensure_changes_only_what_differs(people: People) -> None:
    """A second start of the demo must not end the sessions of the first."""
    first = await people.ensure("ann", "right horse", "streamer", rooms=("a",))
    again = await people.ensure("ann", "right horse", "streamer", rooms=("a",))
    other = await people.ensure("ann", "other horse", "streamer", rooms=("a",))
    assert first.revision == again.revision < other.revision
    assert (await people.authenticate("ann", "other horse")).user == "ann"


async def test_the_window_of_failures_ends(people: People, clock: Clock) -> None:
    """Locked for the rest of the window, from its first failure on, and no longer."""
    await people.add("ann", "right horse", "viewer")
    for _ in range(FAILURES_MAX):
        assert await refusal(people.authenticate("ann", "wrong")) == "unauthorized"
    assert await refusal(people.authenticate("ann", "right horse")) == "rate-limited"
    clock.ms += FAILURE_WINDOW_MS
    assert (await people.authenticate("ann", "right horse")).user == "ann"


async def test_unknown_names_cost_the_same_hashing(people: People) -> None:
    """The answer for a name that is not there takes one hash, as for one that is."""
    await people.add("ann", "right horse", "viewer")
    counted = []
    verify = people._verify

    async def counting(hashed: str, password: str) -> bool:
        counted.append(hashed[:20])
        return await verify(hashed, password)

    people._verify = counting  # type: ignore[method-assign]
    await refusal(people.authenticate("ann", "wrong"))
    await refusal(people.authenticate("nobody", "wrong"))
    await refusal(people.authenticate("no such\x00 name", "wrong"))
    assert len(counted) == 3
    assert len(set(counted)) == 1, "the same algorithm and cost"


async def test_hashing_does_not_hold_up_the_loop(people: People) -> None:
    """Twenty log-ins at once, and the loop still turns between them."""
    await people.add("ann", "right horse", "viewer")
    turns, done = 0, asyncio.Event()

    async def turn() -> None:
        nonlocal turns
        while not done.is_set():
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    tries = [people._hash(f"password {number}") for number in range(20)]
    started = time.process_time()
    await asyncio.gather(*tries)
    done.set()
    await turning
    assert time.process_time() > started
    assert turns > 100, "the loop stood still while passwords were hashed"


async def test_settings_stay(people: People) -> None:
    """What one worker saves another reads at its next look."""
    await people.edit_settings({"shop_name": "  Tea   & Cups ", "language": "zh-CN"})
    await people.edit_settings({"public_url": "https://shop.example/"})
    await people.refresh()
    assert people.settings.shop_name == "Tea & Cups"
    assert people.settings.language == "zh-CN"
    assert people.settings.public_url == "https://shop.example"
    for wrong in ({"public_url": "javascript:alert(1)"}, {"language": "xx"}, {"shop_name": "  "}):
        assert await refusal(people.edit_settings(wrong)) == "validation"


async def test_the_setup_token_works_once_even_at_the_same_moment(people: People) -> None:
    """Two browsers with the same link: one administrator."""
    old = await people.setup_token()
    token = await people.setup_token()
    assert old and token
    settings = {"shop_name": "Tea"}
    assert await refusal(people.complete_setup(old, "a", "right horse", settings)) == "forbidden"
    both = await asyncio.gather(
        people.complete_setup(token, "one", "right horse", settings),
        people.complete_setup(token, "two", "right horse", settings),
        return_exceptions=True,
    )
    assert [type(one) for one in both].count(Refused) == 1
    assert [account.role for account in await people.list()] == ["admin"]
    assert await people.setup_token() is None


async def test_a_taken_name_does_not_use_up_the_link(people: People) -> None:
    """The administrator chooses another name and goes on."""
    await people.add("root", "right horse", "viewer")
    token = await people.setup_token()
    assert token
    taken = people.complete_setup(token, "root", "right horse", {"shop_name": "Tea"})
    assert await refusal(taken) == "invalid-state"
    made = await people.complete_setup(token, "root2", "right horse", {"shop_name": "Tea"})
    assert made.role == "admin"
