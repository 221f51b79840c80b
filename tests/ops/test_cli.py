"""The command line, as real processes from a foreign folder."""

import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest

BIN = Path(sys.executable).parent
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs `liveserver …` in an empty folder of its own, with a data directory in it."""
    (tmp_path / "orders").mkdir()  # a folder that must not be taken for our package
    (tmp_path / "orders" / "__init__.py").write_text("raise SystemExit('wrong orders')")

    def start(
        *arguments: str, text: str = "", **environ: str
    ) -> "subprocess.CompletedProcess[str]":
        kept = {k: v for k, v in os.environ.items() if not k.startswith("LIVESERVER_")}
        kept |= {"LIVESERVER_DATA_DIR": str(tmp_path / "data")} | environ
        return subprocess.run(
            [BIN / "liveserver", *arguments],
            cwd=tmp_path, env=kept, input=text, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip

    return start


@pytest.mark.parametrize("command", ["run", "check-config", "token --user u"])
def test_wrong_settings_end_with_two_and_all_mistakes(run: Run, command: str) -> None:
    """The same list from every command, on standard error, without a traceback."""
    done = run(*command.split(), LIVESERVER_PORT="x", LIVESERVER_PROT="1")
    assert done.returncode == 2
    assert "LIVESERVER_PORT: must be a whole number" in done.stderr
    assert "LIVESERVER_PROT: unknown setting" in done.stderr
    assert "Traceback" not in done.stderr


def test_check_config_shows_what_holds_without_secrets(run: Run) -> None:
    """For pasting into a question to somebody else."""
    done = run("check-config", LIVESERVER_PORT="9000", LIVESERVER_API_KEY="hush-hush")
    assert done.returncode == 0, done.stderr
    assert "9000" in done.stdout
    assert "hush" not in done.stdout + done.stderr


def test_run_tells_what_its_arguments_need(run: Run) -> None:
    """A role alone, a crowd without a demo, workers that are no number."""
    done = run("run", "--role", "orders", "--workers", "many")
    assert done.returncode == 2
    assert "REDIS_URL: required with --role orders" in done.stderr
    assert "LIVESERVER_WORKERS" in done.stderr
    done = run("run", CROWD="50")
    assert done.returncode == 2
    assert "--crowd: only with --demo" in done.stderr
    shared = {
        "LIVESERVER_REDIS_URL": "redis://127.0.0.1:1",
        "LIVESERVER_DATABASE_URL": "postgresql://127.0.0.1:1/shop",
        "LIVESERVER_TOKEN_SECRET": "0123456789abcdef0123456789abcdef",
    }
    done = run("run", "--demo", "--role", "gateway", **shared)
    assert done.returncode == 2
    assert "--demo: not with --role gateway" in done.stderr


def test_a_busy_port_ends_with_one_and_words(run: Run) -> None:
    """The real command, before anything else was started."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = run("run", LIVESERVER_PORT=str(port))
    assert done.returncode == 1
    assert f"liveserver: port {port} on 127.0.0.1 is in use" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_token_carries_what_was_asked(run: Run, tmp_path: Path) -> None:
    """Signed with the kept secret, made when there was none."""
    done = run("token", "--user", "anna", "--role", "streamer", "--rooms", "a,b", "--ttl", "60")
    assert done.returncode == 0, done.stderr
    secret = (tmp_path / "data" / "token_secret").read_text()
    claims = jwt.decode(done.stdout.strip(), secret, algorithms=["HS256"])
    assert (claims["sub"], claims["role"], claims["rooms"]) == ("anna", "streamer", ["a", "b"])
    assert "exp" in claims
    secret = "x" * 32
    done = run("token", "--user", "u", "--ttl", "0", LIVESERVER_TOKEN_SECRET=secret)
    claims = jwt.decode(done.stdout.strip(), secret, algorithms=["HS256"])
    assert claims["role"] == "viewer"
    assert "exp" not in claims


def test_accounts_are_made_changed_and_closed(run: Run) -> None:
    """On a database that was never started before; refusals in words."""
    done = run("user", "add", "anna", "--role", "admin", "--password-stdin", text="secret-1\n")
    assert done.returncode == 0, done.stderr
    again = run("user", "add", "anna", "--role", "admin", "--password-stdin", text="secret-1\n")
    assert again.returncode == 1
    assert "There is an account anna already." in again.stderr
    assert run("user", "passwd", "anna", "--password-stdin", text="other\n").returncode == 0
    assert run("user", "disable", "anna").returncode == 0
    assert run("user", "enable", "anna").returncode == 0
    nobody = run("user", "disable", "nobody")
    assert nobody.returncode == 1
    assert "There is no account nobody." in nobody.stderr


def test_a_password_is_never_an_argument(run: Run) -> None:
    """Without a terminal the way to give one is named."""
    done = run("user", "add", "anna", "--role", "admin")
    assert done.returncode == 1
    assert "--password-stdin" in done.stderr
    empty = run("user", "add", "anna", "--role", "admin", "--password-stdin", text="\n")
    assert empty.returncode == 1
    assert "empty" in empty.stderr


def test_the_database_can_be_upgraded_alone(run: Run, tmp_path: Path) -> None:
    """Before a start, as deployments like it; twice is the same as once."""
    assert run("db", "upgrade").returncode == 0
    assert run("db", "upgrade").returncode == 0
    assert (tmp_path / "data" / "liveserver.db").exists()


def test_the_audit_prints_exactly_the_difference_and_ends_with_one(
    run: Run, tmp_path: Path
) -> None:
    """A row that somebody edited by hand; a clean database prints nothing; none is told."""
    missing = run("stock", "audit")
    assert missing.returncode == 1
    assert "there is no database at" in missing.stderr
    assert run("db", "upgrade").returncode == 0
    clean = run("stock", "audit")
    assert (clean.returncode, clean.stdout, clean.stderr) == (0, "", "")
    connection = sqlite3.connect(tmp_path / "data" / "liveserver.db")
    connection.execute(
        "INSERT INTO product (id, merchant, sku, title, description, terms, seller_name,"
        " price_cents, currency, created_at) VALUES ('p', 'm', 's', 't', '', '', 'x', 1, 'CNY', 0)"
    )
    connection.execute("INSERT INTO product_stock VALUES ('p', 5, 2)")
    connection.execute("INSERT INTO stock_change VALUES (1, 'p', 5, 'created', 'm', 0)")
    connection.commit()
    connection.close()
    edited = run("stock", "audit")
    assert edited.returncode == 1
    assert edited.stdout == "product_stock.committed p: stored 2, counted 0\n"


def test_the_module_is_the_command(tmp_path: Path) -> None:
    """`python -m liveserver` works too."""
    done = subprocess.run(
        [sys.executable, "-m", "liveserver", "--help"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert "check-config" in done.stdout
