"""What docs/webhooks.md tells merchants, run and looked up."""

import asyncio
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from orders import webhooks as rules

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "webhooks.md").read_text(encoding="utf-8")
NODE = Path(sys.executable).parent / "node"
SECRET = rules.make_secret(bytes(range(32)))
BODY = '{"type":"order.paid","timestamp":"2026-01-31T12:00:00.000Z","data":{"order":{"id":"杯"}}}'


def example(language: str) -> str:
    """The code block of that language."""
    [code] = re.findall(rf"```{language}\n(.*?)```", TEXT, re.S)
    return str(code)


def requests() -> list[tuple[dict[str, str], str, int]]:
    """Signed and forged requests, and the status that each deserves."""
    now, body = int(time.time()), BODY.encode()
    other = rules.make_secret(bytes(32))
    genuine = rules.headers([SECRET], "evt_1", now, body)
    return [
        (genuine, BODY, 204),
        (genuine, BODY, 204),
        (rules.headers([other, SECRET], "evt_2", now, body), BODY, 204),
        (genuine, BODY + " ", 400),
        (genuine | {"webhook-id": "evt_3"}, BODY, 400),
        (genuine | {"webhook-signature": "nonsense"}, BODY, 400),
        (rules.headers([other], "evt_4", now, body), BODY, 400),
        (rules.headers([SECRET], "evt_5", now - 400, body), BODY, 400),
        (rules.headers([SECRET], "evt_6", now + 400, body), BODY, 400),
    ]


def test_the_python_example_accepts_exactly_what_is_genuine(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And handles each event once."""
    space: dict[str, Any] = {}
    exec(compile(example("python"), "docs/webhooks.md", "exec"), space)
    seen: set[str] = set()
    for headers, body, status in requests():
        assert space["receive"](SECRET, headers, body.encode(), seen) == status
    assert seen == {"evt_1", "evt_2"}
    assert capsys.readouterr().out.count("order.paid") == 2


async def test_the_node_example_accepts_exactly_what_is_genuine(tmp_path: Path) -> None:
    """The same requests, the same answers."""
    cases = [[headers, body] for headers, body, _ in requests()]
    script = example("js") + (
        "const seen = new Set();"
        f"const cases = {json.dumps(cases)};"
        "const answers = cases.map(([headers, body]) =>"
        f" receive({json.dumps(SECRET)}, headers, Buffer.from(body), seen));"
        "console.log(JSON.stringify([answers, [...seen]]));"
    )
    (tmp_path / "example.cjs").write_text(script, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        str(NODE), str(tmp_path / "example.cjs"), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    answers, seen = json.loads(out.decode().splitlines()[-1])
    assert answers == [status for _, _, status in requests()]
    assert seen == ["evt_1", "evt_2"]


def test_every_event_type_is_in_the_table() -> None:
    """And none that does not exist."""
    table = TEXT[TEXT.index("| type |") : TEXT.index("Objects have the shape")]
    named = {
        name
        for line in table.splitlines()[2:]
        for name in re.findall(r"`([a-z_]+\.[a-z_]+)`", line.split("|")[1] if "|" in line else "")
    }
    assert named == {*rules.EVENT_TYPES, rules.TEST_TYPE}
