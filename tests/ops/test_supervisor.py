"""The parent process: one owner of directory and port, restarts, and a clean end."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from servers import TinyServer, gone, until

MakeServer = Callable[..., TinyServer]


def test_a_free_port_is_chosen_and_told_in_exactly_one_ready_line(server: MakeServer) -> None:
    """PORT=0: the line names the port that answers."""
    one = server().start()
    assert one.ask()[3] == "gateway,orders"
    assert one.stop() == 0
    lines = one.output.decode().splitlines()
    assert lines[0] == f"ready http://127.0.0.1:{one.port}"
    assert not any(line.startswith("ready") for line in lines[1:])


def test_the_first_start_offers_a_set_up_link_until_there_is_an_administrator(
    server: MakeServer,
) -> None:
    """One link a start, right below the ready line, on standard output alone."""
    one = server().start()
    assert one.stop() == 0
    lines = one.output.decode().splitlines()
    assert f"http://127.0.0.1:{one.port}/setup?token=" in lines[1]
    assert "token=" not in one.logged()
    made = subprocess.run(
        [
            Path(sys.executable).parent / "liveserver",
            *("user", "add", "root", "--role", "admin", "--password-stdin"),
        ],
        env={**os.environ, "LIVESERVER_DATA_DIR": str(one.data)},
        input=b"a password\n",
        capture_output=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    two = server().start()
    assert two.stop() == 0
    assert len(two.output.decode().splitlines()) == 1


def test_a_worker_that_failed_is_replaced_though_a_thread_of_it_still_waits(
    server: MakeServer,
) -> None:
    """A connection given up in its thread must not keep the shop closed."""
    one = server().start()
    node = one.ask()[0]
    (one.data / "stuck").touch()
    until(lambda: not (one.data / "stuck").exists(), "the worker fails")
    until(lambda: one.ask()[0] != node, "another worker answers")


def test_many_workers_share_one_port_beside_one_orders_process(server: MakeServer) -> None:
    """WORKERS=2: two gateways answer on the same port; the writer is a process of its own."""
    one = server("--workers", "2").start()
    until(lambda: len({one.ask()[0] for _ in range(20)}) == 2, "both gateways answer")
    until(lambda: len(one.workers()) == 4, "the processes beside the gateways are there too")
    names = sorted(it.cmdline()[-1].rsplit("-", 1)[0] for it in one.workers())
    assert names == ["gateway-1", "gateway-2", "media", "orders"]
    assert one.stop() == 0


@pytest.mark.parametrize("word", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything_within_ten_seconds(
    server: MakeServer, word: signal.Signals
) -> None:
    """Workers and Valkey are gone, exit code 0, and nothing but data is left behind."""
    one = server("--workers", "2").start()
    until(lambda: len(one.children()) == 5, "all processes are there")
    children = one.children()
    began = time.monotonic()
    assert one.stop(word) == 0
    assert time.monotonic() - began < 10
    assert gone(children)
    assert not (one.data / "bus.sock").exists()
    assert not (one.data / "bus.pid").exists()


def test_a_worker_that_ignores_the_signal_is_killed_in_time(server: MakeServer) -> None:
    """A stopped process cannot hold up the end."""
    one = server("--workers", "2").start()
    children = one.children()
    one.workers()[0].suspend()
    began = time.monotonic()
    assert one.stop() == 0
    assert time.monotonic() - began < 10
    assert gone(children)


def test_a_second_server_on_the_same_directory_refuses_in_words(server: MakeServer) -> None:
    """It names the directory and the owner, and the first one goes on."""
    one = server().start()
    assert one.process is not None
    two = server()
    assert two.refused() == 1
    words = two.logged()
    assert "uses the data directory" in words
    assert str(two.data) in words
    assert f"process {one.process.pid}" in words
    assert "Traceback" not in words
    assert one.ask()
    assert one.stop() == 0


def test_a_busy_port_is_told_in_words(server: MakeServer) -> None:
    """Another program's port is not shared with it, whatever options it set."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        two = server("--workers", "2", port=other.getsockname()[1])
        assert two.refused() == 1
    assert f"port {two.port} on 127.0.0.1 is in use" in two.logged()
    assert "Traceback" not in two.logged()


def test_a_killed_worker_is_restarted_and_hears_who_died(server: MakeServer) -> None:
    """The lease of a holder known to be dead need not be waited for."""
    one = server().start()
    node, pid, holder, _ = one.ask()
    assert holder == "None"
    until(lambda: json.loads((one.data / "processes.json").read_text())["holder"], "a beat")
    os.kill(int(pid), signal.SIGKILL)
    until(lambda: one.answers() and one.ask()[0] != node, "another worker answers")
    assert one.ask()[2] == node
    assert one.stop() == 0


def test_a_full_disk_does_not_end_a_server_whose_worker_comes_back(server: MakeServer) -> None:
    """The list of processes cannot be written: it is written when that is possible again."""
    one = server().start()
    node, pid, _, _ = one.ask()
    in_the_way = one.data / ".processes.json"
    in_the_way.mkdir()
    os.kill(int(pid), signal.SIGKILL)
    until(lambda: one.answers() and one.ask()[0] != node, "another worker answers")
    assert "not written down" in one.logged()
    in_the_way.rmdir()
    fresh = one.ask()[0]
    until(lambda: fresh in (one.data / "processes.json").read_text(), "the list")
    assert one.stop() == 0


def test_a_connection_waits_while_its_worker_is_restarted(server: MakeServer) -> None:
    """The listening socket lives in the parent: nobody is refused in between."""
    one = server().start()
    pid = int(one.ask()[1])
    os.kill(pid, signal.SIGKILL)
    until(lambda: gone([psutil.Process(pid)]) if psutil.pid_exists(pid) else True, "its end")
    assert one.ask()[1] != str(pid)
    assert one.stop() == 0


def test_a_killed_valkey_is_started_again_with_what_it_had(server: MakeServer) -> None:
    """The workers find it at the same address."""
    one = server().start()
    bus = one.bus()
    bus.kill()
    until(lambda: gone([bus]), "the end of Valkey")
    until(lambda: (one.data / "bus.pid").read_text().strip() != str(bus.pid), "a new Valkey")
    until(lambda: len(one.children()) == 3, "all children")
    assert one.stop() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_new_start_right_after_the_supervisor_was_killed_takes_over(
    server: MakeServer, workers: str
) -> None:
    """One owner of the port, no orphan Valkey; the new writer knows that the old one is dead."""
    one = server("--workers", workers).start()
    children, bus = one.children(), one.bus()
    until(lambda: json.loads((one.data / "processes.json").read_text())["holder"], "a beat")
    holder = json.loads((one.data / "processes.json").read_text())["holder"]
    one.kill()
    two = server("--workers", workers, port=one.port).start()
    assert gone(children)
    assert two.bus().pid != bus.pid
    pids = {it.pid for it in two.workers()}
    assert {int(two.ask()[1]) for _ in range(20)} <= pids
    if workers == "1":
        assert two.ask()[2] == holder
    assert two.stop() == 0


def test_children_end_within_two_seconds_of_a_killed_supervisor(server: MakeServer) -> None:
    """Nobody starts anew, and still nothing is left; a blocked worker included."""
    one = server("--workers", "2").start()
    children = one.children()
    began = time.monotonic()
    one.kill()
    until(lambda: gone(children), "the end of all children")
    assert time.monotonic() - began < 4  # two seconds, and a loaded machine's delay


def test_a_holder_that_stops_beating_on_sqlite_is_replaced(server: MakeServer) -> None:
    """A stuck writer would hold the sale for ever."""
    one = server().start()
    node = one.ask()[0]
    until(lambda: json.loads((one.data / "processes.json").read_text())["holder"], "a beat")
    (one.data / "silent").touch()
    until(lambda: (one.answers() or [node])[0] != node, "another worker answers")
    assert "has not beaten" in one.logged()
    (one.data / "silent").unlink()
    assert one.stop() == 0


def test_the_token_secret_is_made_once_and_is_private(server: MakeServer) -> None:
    """Tokens stay good over a restart."""
    one = server().start()
    path = one.data / "token_secret"
    secret = path.read_text()
    assert len(secret) >= 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert one.stop() == 0
    two = server().start()
    assert path.read_text() == secret
    assert secret not in two.logged()
    assert two.stop() == 0


def test_a_data_directory_with_a_very_long_path_works(server: MakeServer) -> None:
    """A unix socket's path may have 107 bytes; a data directory's may not matter."""
    one = server(data="long" * 40).start()
    assert one.ask()
    assert one.stop() == 0


def test_broken_files_of_valkey_are_put_aside(server: MakeServer) -> None:
    """It holds nothing that SQL cannot tell again, so it must not stop a start."""
    one = server().start()
    assert one.stop() == 0
    manifest = one.data / "bus" / "appendonlydir" / "appendonly.aof.manifest"
    manifest.write_text("nonsense\n")
    two = server().start()
    assert list((one.data / "bus").glob("appendonlydir.broken-*"))
    assert two.stop() == 0


def test_only_the_owner_may_use_an_orphans_process_id(server: MakeServer) -> None:
    """A pid file that names somebody else's process does not end that process."""
    one = server()
    one.data.mkdir()
    (one.data / "bus.pid").write_text(f"{os.getpid()}\n")
    (one.data / "processes.json").write_text(
        json.dumps({"children": [{"pid": os.getpid(), "node": "server-00000000"}]})
    )
    one.start()
    assert one.stop() == 0


async def test_single_roles_share_what_they_are_given(
    server: MakeServer, redis_url: str, postgres_url: str
) -> None:
    """A gateway and the orders process, each a start of its own, on one directory even: no lock."""
    shared = {"LIVESERVER_REDIS_URL": redis_url, "LIVESERVER_DATABASE_URL": postgres_url}
    gateway = server("--role", "gateway", **shared).start()
    orders = server("--role", "orders", **shared).launch()
    until(lambda: b"ready" in read_some(orders), "the orders process is ready")
    assert gateway.ask()[3] == "gateway"
    assert [it.name() for it in gateway.children() if "valkey" in it.name()] == []
    assert orders.stop() == 0
    assert gateway.stop() == 0


def read_some(server: TinyServer) -> bytes:
    assert server.process is not None
    assert server.process.stdout is not None
    if select.select([server.process.stdout], [], [], 0.05)[0]:
        server.output += os.read(server.process.stdout.fileno(), 65536)
    return server.output
