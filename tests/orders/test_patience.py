"""Waiting for the writer by being called back: once, and never for ever."""

import asyncio
from collections.abc import Callable

import pytest

from orders import waiting_service
from orders.errors import SoldOut, Unavailable
from orders.requests import AnyRequest, Reserve
from orders.sale import fingerprint
from orders.waiting_service import Answered, Done, Patience

ASKED = Reserve(flash_sale="s", buyer="ann", buyer_name="Ann", guest=False, quantity=1, key="k")


class Database:
    """What a late waiter finds."""

    def __init__(self, found: tuple[str, bytes] | None) -> None:
        self.found = found

    async def answer_by_key(self, buyer: str, space: str, key: str) -> tuple[str, bytes] | None:
        assert (buyer, space, key) == ("ann", "client", "k")
        return self.found


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_service, "ANSWER_SECONDS", 0.02)
    monkeypatch.setattr(waiting_service, "STEP_SECONDS", 0.01)


def placed(answers: Database) -> tuple[Callable[[Answered], None], list[Answered], asyncio.Event]:
    """A request in line: the way to answer it, what its waiter heard, and when."""
    lined_up: list[Done] = []
    heard: list[Answered] = []
    called = asyncio.Event()

    def submit(request: AnyRequest, done: Done) -> None:
        lined_up.append(done)

    def done(result: Answered) -> None:
        heard.append(result)
        called.set()

    Patience(submit, answers, lambda _request: False).place(ASKED, done)
    return lined_up[0], heard, called


async def test_the_writers_answer_comes_through_once() -> None:
    """The first answer counts; one that comes again is not heard."""
    answer, heard, _ = placed(Database(None))
    answer(b"{}")
    answer(SoldOut("sold out"))
    assert heard == [b"{}"]


@pytest.mark.usefixtures("impatient")
async def test_without_an_answer_the_order_is_looked_for() -> None:
    """Who hears nothing gets the order with the key, and the answer that comes after is not."""
    answer, heard, called = placed(Database((fingerprint(ASKED), b'{"id":"ord_1"}')))
    await asyncio.wait_for(called.wait(), 5)
    answer(b'{"id":"ord_2"}')
    assert heard == [b'{"id":"ord_1"}']


@pytest.mark.usefixtures("impatient")
async def test_without_an_answer_and_an_order_it_is_said_that_nobody_knows() -> None:
    """Then only the same key again can tell."""
    _, heard, called = placed(Database(None))
    await asyncio.wait_for(called.wait(), 5)
    assert isinstance(heard[0], Unavailable)
