"""
`liveserver doctor`: what an operator should know before visitors find out.

Each check yields findings; `bad` ones end the command with 1. Nothing is changed by looking.
"""

import asyncio
import contextlib
import json
import shutil
import socket
import stat
import time
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_address, ip_network
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from liveserver import backup, migrate
from liveserver.config import SHORT_SECRET_BYTES, Config
from liveserver.datadir import DataDirError, DirectoryLock
from liveserver.db import make_engine
from orders.addresses import Policy, refusal

FEW_BYTES = 1 << 30  # the log of the bus alone may grow by that much
NO_BYTES = 64 << 20
CLOCK_MS = 5_000  # tokens and deadlines live by the clock
OLD_BACKUP_DAYS = 7
CALL_SECONDS = 5.0
DISTINCT_CHARS = 8  # in a secret; fewer look like "aaaa…"


class Finding(NamedTuple):
    level: Literal["ok", "warn", "bad"]
    what: str
    words: str


Findings = AsyncIterator[Finding]


async def examine(config: Config) -> list[Finding]:
    """All findings, in the order of CHECKS. A check that fails itself is a bad finding."""
    found = []
    for name, check in CHECKS.items():
        try:
            async with asyncio.timeout(CALL_SECONDS * 4):
                found += [finding async for finding in check(config)]
        except (OSError, TimeoutError, SQLAlchemyError, RedisError) as error:
            found.append(Finding("bad", name, f"cannot be looked at: {migrate.words(error)}"))
    return found


def is_served(config: Config) -> bool:
    """Whether a server of ours runs on the data directory."""
    lock = DirectoryLock(config.data_dir)
    if not lock.path.exists():
        return False
    try:
        lock.take()
    except DataDirError:
        return True
    lock.release()
    return False


async def ports(config: Config) -> Findings:
    """Free, or ours."""
    if config.port == 0:
        yield Finding("ok", "ports", "any free port is taken at the start")
        return
    try:
        with socket.create_server((config.host, config.port), reuse_port=False):
            yield Finding("ok", "ports", f"{config.host}:{config.port} is free")
    except OSError as error:
        where = f"{config.host}:{config.port}"
        if is_served(config):
            yield Finding("ok", "ports", f"{where} is served by the running server")
        else:
            yield Finding("bad", "ports", f"{where} cannot be used: {error.strerror}")


async def disk(config: Config) -> Findings:
    free = shutil.disk_usage(config.data_dir).free
    words = f"{free / (1 << 30):.1f} GiB free at {config.data_dir}"
    level: Literal["ok", "warn", "bad"] = "ok" if free >= FEW_BYTES else "warn"
    yield Finding("bad" if free < NO_BYTES else level, "disk", words)


async def permissions(config: Config) -> Findings:
    """What holds secrets and buyers' data is its owner's alone."""
    for path in (config.data_dir, config.data_dir / "token_secret"):
        if not path.exists():
            continue
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            words = f"{path} can be read by others (mode {mode:o}); chmod {mode & 0o700:o} it"
            yield Finding("bad", "permissions", words)
        else:
            yield Finding("ok", "permissions", f"{path} is its owner's alone")


async def secret(config: Config) -> Findings:
    """Long and not simple."""
    value = config.token_secret
    path = config.data_dir / "token_secret"
    if not value and path.exists():
        value = path.read_text().strip()
    if not value:
        yield Finding("ok", "secret", "TOKEN_SECRET is made at the first start")
    elif len(value.encode()) < SHORT_SECRET_BYTES or len(set(value)) < DISTINCT_CHARS:
        words = f"tokens can be forged by trying: at least {SHORT_SECRET_BYTES} random bytes"
        yield Finding("bad", "secret", f"TOKEN_SECRET is weak: {words}")
    else:
        yield Finding("ok", "secret", "TOKEN_SECRET is long enough")
    if config.client.insecure:
        yield Finding("warn", "secret", "[client] insecure = true: no token is asked for")


async def bus(config: Config) -> Findings:
    path = config.data_dir / "bus.sock"
    if not config.redis_url and not (path.exists() and is_served(config)):
        yield Finding("ok", "bus", "embedded; it is started with the server")
        return
    url = config.redis_url or f"unix://{path}"
    redis = Redis.from_url(url, socket_timeout=CALL_SECONDS, socket_connect_timeout=CALL_SECONDS)
    try:
        await redis.ping()
        info = await redis.info("memory")
    finally:
        await redis.aclose()
    if info.get("maxmemory_policy") not in (None, "noeviction"):
        words = f"its maxmemory-policy is {info['maxmemory_policy']}; noeviction is needed"
        yield Finding("bad", "bus", words)
    else:
        yield Finding("ok", "bus", "answers")


async def database(config: Config) -> Findings:
    """There, of the newest schema, with a clock like ours; and whom webhooks cannot reach."""
    url = config.data_database_url
    if not config.database_url and not (config.data_dir / backup.DATABASE).exists():
        yield Finding("ok", "database", "SQLite; it is made at the first start")
        return
    engine = make_engine(url, read_only=True, pool_size=1)
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT count(*) FROM orders"))
            yield Finding("ok", "database", f"{engine.dialect.name} answers")
            yield await _clock(connection, engine.dialect.name)
            async for finding in _webhooks(connection, config):
                yield finding
    finally:
        await engine.dispose()


async def _clock(connection: AsyncConnection, kind: str) -> Finding:
    """Against PostgreSQL's clock; on SQLite against the sale clock that was stored last."""
    ours = time.time() * 1000
    if kind == "postgresql":
        query = "SELECT extract(epoch FROM clock_timestamp()) * 1000"
        off = float((await connection.execute(text(query))).scalar_one()) - ours
        level: Literal["ok", "bad"] = "bad" if abs(off) > CLOCK_MS else "ok"
        return Finding(level, "clock", f"the database's differs from ours by {off:+.0f} ms")
    stored = (await connection.execute(text("SELECT max(now) FROM lease"))).scalar() or 0
    if stored - ours > CLOCK_MS:
        words = f"behind the sale clock stored last by {(stored - ours) / 1000:.0f} s"
        return Finding("bad", "clock", f"{words}: sales and deadlines go by the stored one")
    return Finding("ok", "clock", "not behind what the database remembers")


async def _webhooks(connection: AsyncConnection, config: Config) -> Findings:
    """Endpoints that the address policy keeps us from: their events would only wait."""
    allowed = tuple(ip_network(cidr) for cidr in config.webhook_allowed_cidrs)
    policy = Policy(allowed=allowed)
    rows = await connection.execute(
        text("SELECT merchant, url FROM webhook_endpoint WHERE state = 'active' ORDER BY id")
    )
    found = [(row[0], urlsplit(row[1])) for row in rows]
    blocked = 0
    for merchant, url in found:
        port = url.port or (443 if url.scheme == "https" else 80)
        why = await _unreachable(url.hostname or "", port, policy)
        if why:
            blocked += 1
            words = f"{merchant}'s endpoint at {url.hostname}:{port}: {why}"
            yield Finding("warn", "webhooks", words)
    if not blocked:
        yield Finding("ok", "webhooks", f"{len(found)} endpoints, none behind a refused address")


async def _unreachable(host: str, port: int, policy: Policy) -> str | None:
    try:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CALL_SECONDS):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError):
        return "the name is not found"
    reasons = [refusal(ip_address(entry[4][0]), port, policy) for entry in found]
    return next((reason for reason in reasons if reason), None)


async def backups(config: Config) -> Findings:
    """How old the last one is."""
    if config.database_url:
        yield Finding("ok", "backup", "the database has its own backups (pg_dump)")
        return
    age_days = None
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        last = json.loads((config.data_dir / backup.LAST).read_bytes())
        age_days = (time.time() - last["at"]) / 86_400
    if age_days is None:
        yield Finding("warn", "backup", "none was made yet: liveserver backup FILE")
    elif age_days > OLD_BACKUP_DAYS:
        yield Finding("warn", "backup", f"the last one is {age_days:.0f} days old")
    else:
        yield Finding("ok", "backup", f"the last one is {age_days:.1f} days old")


CHECKS: dict[str, Callable[[Config], Findings]] = {
    "ports": ports,
    "disk": disk,
    "permissions": permissions,
    "secret": secret,
    "bus": bus,
    "database": database,
    "backup": backups,
}
