"""The comparison with Debian's `janus` runs where there is one, and says so where there is none."""

import pytest

from loadtest import janus
from loadtest.bench_janus import row


@pytest.mark.nightly
def test_both_servers_send_the_same_to_the_same_viewers() -> None:
    """A short run: what counts is that packets come from both, decrypted by the same peers."""
    if reason := janus.missing():
        pytest.skip(reason)
    found = row(viewers=3, seconds=2.0, rounds=1, gso=False)
    ((own, other),) = found["delivered"]
    assert own > 0.5 and other > 0.5, found


def test_without_janus_the_row_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names what is missing, and nothing is started."""
    monkeypatch.setenv("PATH", "")
    assert row(viewers=3, seconds=2.0, rounds=1, gso=False) == {
        "row": "janus", "skipped": janus.MISSING,
    }  # fmt: skip
