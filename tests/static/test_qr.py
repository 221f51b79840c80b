"""The codes that a room is shared by, against another encoder."""

import json
import subprocess

import segno

from tests.static.test_static import NODE, STATIC

#: bytes that fill a code of version 1, 2, … to the last: what pads others is left to encoders
FULL = (14, 26, 42, 62, 84, 106, 122, 152, 180, 213)
DRAW = """
const { qrCode } = await import(process.argv[1]);
const drawn = JSON.parse(process.argv[2]).map(([text, mask]) => qrCode(text, mask));
let long = "";
try { qrCode("x".repeat(214)); } catch (error) { long = error.name; }
const free = qrCode("http://127.0.0.1:8000/rooms/demo");
console.log(JSON.stringify({ drawn, long, free }));
"""


def test_codes_are_those_of_another_encoder() -> None:
    """Every version that there is, every mask, module for module; a longer text is refused."""
    wanted = [("x" * length, mask) for length in FULL for mask in range(8)]
    module = (STATIC / "js" / "qr.js").as_uri()
    done = subprocess.run(
        [NODE, "--input-type=module", "-e", DRAW, module, json.dumps(wanted)],
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    answer = json.loads(done.stdout)
    for (text, mask), drawn in zip(wanted, answer["drawn"], strict=True):
        other = segno.make(text, error="m", mask=mask, mode="byte", boost_error=False, micro=False)
        assert [[bool(module) for module in row] for row in other.matrix] == drawn, (
            len(text),
            mask,
        )
    assert answer["long"] == "RangeError"
    assert len(answer["free"]) == 29
