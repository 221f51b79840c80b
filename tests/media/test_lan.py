"""Chromium as publisher and viewer over HTTPS on an address that is not loopback, as on a LAN."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import without

pytestmark = pytest.mark.browser

ADDRESS = "10.77.0.1"
NETWORK = (
    "ip link set lo up && ip link add lan0 type veth peer name lan1"
    f" && ip addr add {ADDRESS}/24 dev lan0 && ip link set lan0 up && ip link set lan1 up"
    ' && ip route add default dev lan0 && exec "$@"'
)
INSIDE = ["unshare", "--map-root-user", "--net", "sh", "-c", NETWORK, "sh"]
SECONDS = 120  # for a server, a browser, and a machine that does other things


def namespaces_refuse() -> str:
    """Why there is no network of our own here; "" where there is."""
    if not (shutil.which("unshare") and shutil.which("ip")):
        return "no unshare or ip here"
    tried = subprocess.run([*INSIDE, "true"], capture_output=True, text=True, check=False)
    return tried.stderr.strip() if tried.returncode else ""


def test_a_camera_is_sent_and_seen_over_https_on_a_lan(tmp_path: Path) -> None:
    """In a network namespace of its own, by the certificate that LAN=1 makes."""
    without("browser")
    if reason := namespaces_refuse():
        pytest.skip(f"network namespaces are not allowed: {reason}")
    script = Path(__file__).parent / "clients" / "lan.py"
    done = subprocess.run(
        [*INSIDE, sys.executable, str(script), str(tmp_path), ADDRESS],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        capture_output=True, text=True, check=False, timeout=SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a moving picture" in done.stdout
