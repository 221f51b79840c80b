"""
Readers of single setting values: text from the environment or a typed value from TOML goes in, a
checked value comes out. Each raises `ValueError` with words that finish "<setting>: …".
"""

import ipaddress
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

Reader = Callable[[Any], Any]

TRUE_WORDS = {"1", "true", "yes", "on"}
FALSE_WORDS = {"0", "false", "no", "off"}
HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


@dataclass(frozen=True)
class IceServer:
    """One STUN or TURN server as browsers take it; a TURN credential is shown to viewers."""

    urls: tuple[str, ...]
    username: str = ""
    credential: str = ""


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be text in quotes, not {value!r}")
    return value.strip()


def whole_number(low: int, high: int) -> Reader:
    def read(value: Any) -> int:
        wrong = ValueError(f"must be a whole number from {low} to {high}, not {value!r}")
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise wrong
        try:
            number = int(value)
        except ValueError:
            raise wrong from None
        if not low <= number <= high:
            raise wrong
        return number

    return read


def flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ValueError(f"must be true or false, not {value!r}")


def one_of(*choices: str) -> Reader:
    def read(value: Any) -> str:
        word = text(value).lower()
        if word not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}, not {value!r}")
        return word

    return read


def list_of(item: Callable[[str], Any]) -> Reader:
    """A TOML list, or text with commas; each entry read by `item`."""

    def read(value: Any) -> tuple[Any, ...]:
        if isinstance(value, str):
            value = [part for part in (piece.strip() for piece in value.split(",")) if part]
        if not isinstance(value, list):
            raise ValueError(f"must be a list, not {value!r}")
        return tuple(item(text(entry)) for entry in value)

    return read


def host(value: Any) -> str:
    name = text(value).strip("[]")
    try:
        ipaddress.ip_address(name)
    except ValueError:
        if not HOST_NAME.fullmatch(name):
            raise ValueError(
                f"must be an address or a host name without scheme or port, not {value!r}"
            ) from None
    return name


def ip_address(value: Any) -> str:
    name = text(value)
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        raise ValueError(f"must be an IP address, not {value!r}") from None


def network(value: str) -> str:
    """`10.0.0.0/8` or a single address; host bits set are a mistake, not a guess."""
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        pass
    try:
        nearest = ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError(f"must be networks such as 10.0.0.0/8, not {value!r}") from None
    raise ValueError(f"{value!r} has bits set after the prefix; did you mean {nearest}?")


def origin(value: str) -> str:
    """`https://shop.example[:port]`: it goes into headers, so nothing else may be in it."""
    parts = _split(value)
    if parts.scheme not in ("http", "https") or not _clean_netloc(parts.netloc):
        raise ValueError(f"must be origins such as https://shop.example, not {value!r}")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"must be an origin without a path, not {value!r}")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def origin_or_any(value: str) -> str:
    return value if value == "*" else origin(value)


def public_url(value: Any) -> str:
    return origin(text(value)) if text(value) else ""


def role_name(value: str) -> str:
    choices = ("streamer", "moderator", "merchant", "admin")
    if value not in choices:
        raise ValueError(f"must be roles above viewer ({', '.join(choices)}), not {value!r}")
    return value


def folder(value: Any) -> Path:
    name = text(value)
    if not name or "\0" in name:
        raise ValueError("must be the path of a folder")
    path = Path(name).expanduser().absolute()
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is not a folder")
    return path


def readable_file(value: Any) -> str:
    name = text(value)
    if not name:
        return ""
    path = Path(name).expanduser().absolute()
    try:
        with path.open("rb"):
            return str(path)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None


def file_or_url(value: Any) -> str:
    name = text(value)
    if name.startswith(("http://", "https://")):
        if not _clean_netloc(_split(name).netloc):
            raise ValueError(f"is not a complete URL: {value!r}")
        return name
    return readable_file(name)


def redis_url(value: Any) -> str:
    """What redis-py takes; `valkey://` is the same protocol under another name."""
    url = text(value)
    if not url:
        return ""
    url = re.sub(r"^valkey(s?)://", r"redis\1://", url)
    parts = _split(url)
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError("must start with redis://, rediss:// or unix://")
    if parts.scheme == "unix" and not parts.path:
        raise ValueError("must name the path of a socket, such as unix:///run/valkey.sock")
    if parts.scheme != "unix" and not parts.hostname:
        raise ValueError("must name a host, such as redis://127.0.0.1:6379/0")
    return url


def database_url(value: Any) -> str:
    """
    The URL with the asynchronous driver in it. Never repeats the value in an error: it may hold a
    password.
    """
    url = text(value)
    if not url:
        return ""
    try:
        made = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError("is not a database URL such as postgresql://user:…@host/name") from None
    if made.drivername in ("postgresql", "postgres", "postgresql+asyncpg"):
        return _postgres(made).render_as_string(hide_password=False)
    if made.drivername in ("sqlite", "sqlite+aiosqlite"):
        return _sqlite(made).render_as_string(hide_password=False)
    raise ValueError(f"must be postgresql:// or sqlite://, not {made.drivername}://")


def _postgres(url: URL) -> URL:
    if not url.database:
        raise ValueError("must name a database, such as postgresql://user:…@host/liveserver")
    query = dict(url.query)
    if "sslmode" in query:  # libpq's name; asyncpg calls it ssl
        query["ssl"] = query.pop("sslmode")
    return url.set(drivername="postgresql+asyncpg", query=query)


def _sqlite(url: URL) -> URL:
    if not url.database or ":memory:" in url.database:
        raise ValueError("must name a file: several processes share the database")
    path = Path(url.database).expanduser().absolute()
    return url.set(drivername="sqlite+aiosqlite", database=str(path))


def ice_servers(value: Any) -> tuple[IceServer, ...]:
    """URLs, or tables `{urls, username, credential}` (in the environment: as JSON)."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise ValueError(f"is not valid JSON: {error}") from None
    if isinstance(value, str):
        value = [part for part in (piece.strip() for piece in value.split(",")) if part]
    if not isinstance(value, list):
        raise ValueError(f"must be a list, not {value!r}")
    return tuple(_ice_server(entry) for entry in value)


def _ice_server(entry: Any) -> IceServer:
    table = {"urls": [entry]} if isinstance(entry, str) else entry
    if not isinstance(table, dict) or not set(table) <= {"urls", "username", "credential"}:
        raise ValueError("entries must be URLs or tables {urls, username, credential}")
    urls = table.get("urls", [])
    urls = [urls] if isinstance(urls, str) else urls
    if not urls or not all(
        isinstance(url, str) and re.match(r"(stuns?|turns?):[^/\s]", url) for url in urls
    ):
        raise ValueError("urls must start with stun:, stuns:, turn: or turns:")
    server = IceServer(
        tuple(urls), text(table.get("username", "")), text(table.get("credential", ""))
    )
    if any(url.startswith("turn") for url in urls) and not (server.username and server.credential):
        raise ValueError("a turn: server needs username and credential")
    return server


def _split(url: str) -> Any:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises on a port that is no number
    except ValueError:
        raise ValueError("is not a URL") from None
    return parts


def _clean_netloc(netloc: str) -> bool:
    return bool(re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?", netloc))
