"""
Generated requests against the running server, good ones and broken ones.

No answer is a server error, and no answer is one that the OpenAPI document does not tell: status,
media type and body. Path parameters are random in one half and those of real things in the other.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.web.shop import open_shop
from tests.web.test_access import CALLERS, Scene, build_scene

EXAMPLES = 10  # per operation and mode; with about 55 operations 1,000 requests
START_SECONDS = 30.0
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
#: signalling needs the media process, which is not here: `tests/media` sends it broken offers
ELSEWHERE = ("/whip/", "/whep/")
#: role -> who tries an operation that not anyone may; the first that fits
CALLER_OF_ROLE = {
    "viewer": "buyer",
    "admin": "admin",
    "merchant": "merchant",
    "streamer": "streamer",
}


@contextmanager
def server_in_a_thread(
    database_url: str, redis_url: str, folder: Path, room: str
) -> Iterator[tuple[Scene, dict[str, str | None]]]:
    """A shop in a loop of its own; yields the scene and a token of every kind of caller."""
    ready, found = threading.Event(), list[Any]()

    async def serve() -> None:
        stop = asyncio.Event()
        async with open_shop(database_url, redis_url, folder) as shop:
            admin = shop.token("admin")
            body = {"id": room, "title": "Evening"}
            await shop.json("POST", "/v1/rooms", admin, json=body, status=201)
            await shop.services.people.add("somebody", "long enough", "viewer")
            scene = await build_scene(shop, room, 1)
            tokens = {caller: scene.token(caller) for caller in CALLERS}
            found[:] = [asyncio.get_running_loop(), stop, scene, tokens]
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(START_SECONDS), "the server did not start"
    loop, stop, scene, tokens = found
    try:
        yield scene, tokens
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(START_SECONDS)


def caller_of(operation: Any) -> str:
    roles = operation.definition.raw.get("x-roles")
    if roles is None:
        return "nobody"
    return next(who for role, who in CALLER_OF_ROLE.items() if role in roles)


def test_generated_requests_get_documented_answers(
    sqlite_url: str, redis_url: str, tmp_path: Path, unique: str
) -> None:
    """Whatever is sent: no 5xx, nothing undocumented."""
    with server_in_a_thread(sqlite_url, redis_url, tmp_path, unique) as (scene, tokens):
        schema = schemathesis.openapi.from_url(scene.shop.url + "/openapi.json")
        operations = [
            operation
            for operation in (result.ok() for result in schema.get_all_operations())
            if not operation.path.startswith(ELSEWHERE)
        ]
        assert len(operations) > 50
        wrong = []
        for operation in sorted(operations, key=lambda one: one.method.lower() == "delete"):
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                try:
                    _try(operation, mode, scene, tokens[caller_of(operation)])
                except (FailureGroup, Failure) as failure:
                    wrong.append(_in_words(failure))
        assert not wrong, "\n\n".join(wrong)


def _in_words(failure: BaseException) -> str:
    """All failures of one operation, each with the request that shows it."""
    parts = failure.exceptions if isinstance(failure, FailureGroup) else [failure]
    return "\n".join(f"{type(part).__name__}: {part}" for part in parts)


def _try(operation: Any, mode: GenerationMode, scene: Scene, token: str | None) -> None:
    turns = iter(range(1_000_000))

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def attempt(case: Any) -> None:
        if next(turns) % 2:
            for name in case.path_parameters or {}:
                case.path_parameters[name] = scene.values[name]
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        case.call_and_validate(headers=headers, checks=CHECKS, timeout=10)

    try:
        attempt()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, operation.label  # it takes nothing to break
