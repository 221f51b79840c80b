"""
Settings: `liveserver.toml`, overridden by `LIVESERVER_…` variables. One table says all about each.

`load` reads both and answers one `Config`, or raises `ConfigErrors` with every mistake at once, in
words. `docs/settings.md` is checked against the table.
"""

import difflib
import re
import tomllib
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from liveserver import settings_read as read
from liveserver import tls
from liveserver.settings_read import IceServer

PREFIX = "LIVESERVER_"
CONFIG_FILE = "liveserver.toml"
MAX_WORKERS = 64  # processes; far above the cores of one machine that serves one port
MAX_HISTORY = 10_000  # messages a channel; each costs bus memory on every channel of the namespace
MAX_HISTORY_TTL_SECONDS = 31 * 86_400
MAX_TICK_MS = 1_000  # a second is already felt as lag
MAX_ARCHIVE_DAYS = 36_500  # a hundred years: more is a mistake
MAX_DRAIN_SECONDS = 600  # a stop that takes longer looks like one that hangs
MAX_PER_SECOND = 1_000_000  # beyond what one room or worker can do: a mistake
MIN_HARD_MARK_BYTES = 512 * 1024  # one frame and one recovery must fit
MAX_MARK_BYTES = 64 * 1024 * 1024  # a thousand slow viewers at more would fill any memory
SHORT_SECRET_BYTES = 32  # HS256 wants a key as long as its hash (RFC 7518, 3.2)
METRICS_ALLOWED = ("127.0.0.0/8", "::1/128")
BUILT_IN_NAMESPACES = ("room", "chat", "danmaku", "console")


class ConfigErrors(Exception):
    """All mistakes of the settings, each a sentence."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


@dataclass(frozen=True)
class ClientOptions:
    """The table `[client]`: what the viewer socket allows."""

    insecure: bool = False
    personal_channel: bool = True
    allowed_origins: tuple[str, ...] = ()
    compression: bool = True
    connects_per_second: int = 1_000
    soft_mark_bytes: int = 64 * 1024
    hard_mark_bytes: int = 1024 * 1024


@dataclass(frozen=True)
class Config:
    """Checked settings. Secrets are left out of its repr, so that no log can hold them."""

    host: str = "127.0.0.1"
    port: int = 8000
    public_url: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    trusted_proxies: tuple[str, ...] = ()
    data_dir: Path = field(default_factory=lambda: Path("data").absolute())
    redis_url: str = field(default="", repr=False)
    database_url: str = field(default="", repr=False)
    token_secret: str = field(default="", repr=False)
    token_jwks: str = ""
    token_issuer: str = ""
    token_audience: str = ""
    token_jwks_roles: tuple[str, ...] = ()
    api_key: str = field(default="", repr=False)
    metrics_allowed_cidrs: tuple[str, ...] = METRICS_ALLOWED
    workers: int = 1
    drain_seconds: int = 2
    chat_per_second: int = 10
    danmaku_per_second: int = 20
    archive_days: int = 0
    webhook_allowed_cidrs: tuple[str, ...] = ()
    image_origins: tuple[str, ...] = ()
    embed_origins: tuple[str, ...] = ()
    media_port: int = 8001
    media_udp_port: int = 8189
    media_public_ip: tuple[str, ...] = ()
    media_gso: bool = False
    media_load_mark: int = 80
    ice_servers: tuple[IceServer, ...] = field(default=(), repr=False)
    rtmp_port: int = 1935
    io_uring: bool = True
    limit_loopback: bool = False
    flood_rules: bool = True
    log_format: str = "plain"
    log_level: str = "info"
    client: ClientOptions = field(default_factory=ClientOptions)
    namespaces: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def data_database_url(self) -> str:
        """`database_url`, or the SQLite file in the data directory where that is empty."""
        return self.database_url or f"sqlite+aiosqlite:///{self.data_dir}/liveserver.db"

    def warnings(self) -> list[str]:
        """What works but an operator should know."""
        found = []
        if self.client.insecure:
            found.append(
                "[client] insecure = true: anyone may subscribe, publish and ask in operator "
                "namespaces without a token. For a trial only."
            )
        if self.token_secret and len(self.token_secret.encode()) < SHORT_SECRET_BYTES:
            found.append(
                f"TOKEN_SECRET is shorter than {SHORT_SECRET_BYTES} bytes: tokens can be forged by "
                "trying secrets."
            )
        if self.token_jwks.startswith("http://"):
            found.append(
                "TOKEN_JWKS is read without TLS: whoever is on the way can replace the keys."
            )
        if "*" in self.client.allowed_origins:
            found.append('[client] allowed_origins has "*": any web page may open the socket.')
        return found


class Setting(NamedTuple):
    """One row: `name` in capitals (the TOML key is the same in small letters)."""

    name: str
    reader: read.Reader
    doc: str
    default: str = ""
    secret: bool = False


SETTINGS = (
    Setting("HOST", read.host, "address to listen on", "127.0.0.1"),
    Setting("PORT", read.whole_number(0, 65535), "TCP port; 0 = any free one", "8000"),
    Setting("PUBLIC_URL", read.public_url, "origin under which visitors reach the server"),
    Setting("TLS_CERT", read.readable_file, "certificate chain (PEM file); serves HTTPS itself"),
    Setting("TLS_KEY", read.readable_file, "private key of the certificate (PEM file)"),
    Setting(
        "TRUSTED_PROXIES",
        read.list_of(read.network),
        "networks of reverse proxies whose `X-Forwarded-For` is believed",
    ),
    Setting("DATA_DIR", read.folder, "folder of everything the server keeps", "./data"),
    Setting("REDIS_URL", read.redis_url, "Redis or Valkey; empty = embedded Valkey", secret=True),
    Setting(
        "DATABASE_URL",
        read.database_url,
        "`postgresql://…` or `sqlite:///…`; empty = SQLite in the data directory",
        secret=True,
    ),
    Setting(
        "TOKEN_SECRET",
        read.text,
        "HS256 secret of tokens; empty = made on first start, kept in the data directory",
        secret=True,
    ),
    Setting("TOKEN_JWKS", read.file_or_url, "key set (file or URL) of another issuer of tokens"),
    Setting("TOKEN_ISSUER", read.text, "required `iss` of tokens by that key set"),
    Setting("TOKEN_AUDIENCE", read.text, "required `aud` of tokens by that key set"),
    Setting(
        "TOKEN_JWKS_ROLES",
        read.list_of(read.role_name),
        "roles above viewer that those tokens may carry",
    ),
    Setting("API_KEY", read.text, "key of `/api/*`; empty = it answers 401", secret=True),
    Setting(
        "METRICS_ALLOWED_CIDRS",
        read.list_of(read.network),
        "networks that may read `/metrics` without the key",
        ",".join(METRICS_ALLOWED),
    ),
    Setting("WORKERS", read.whole_number(1, MAX_WORKERS), "gateway processes", "1"),
    Setting(
        "DRAIN_SECONDS",
        read.whole_number(0, MAX_DRAIN_SECONDS),
        "over how long a stopping gateway spreads the ends of its viewers",
        "2",
    ),
    Setting(
        "CHAT_PER_SECOND",
        read.whole_number(0, MAX_PER_SECOND),
        "lines of chat of one room, more are refused in words; 0 = any number",
        "10",
    ),
    Setting(
        "DANMAKU_PER_SECOND",
        read.whole_number(0, MAX_PER_SECOND),
        "danmaku of one room, of more everybody sees a sample; 0 = all",
        "20",
    ),
    Setting(
        "ARCHIVE_DAYS",
        read.whole_number(0, MAX_ARCHIVE_DAYS),
        "how long the archive of a show is kept after its end; 0 = for ever",
        "0",
    ),
    Setting(
        "WEBHOOK_ALLOWED_CIDRS",
        read.list_of(read.network),
        "private networks that webhooks may reach all the same",
    ),
    Setting(
        "IMAGE_ORIGINS", read.list_of(read.origin), "other origins that pages may show images from"
    ),
    Setting(
        "EMBED_ORIGINS",
        read.list_of(read.origin),
        "origins of shops whose pages may show rooms in a frame; empty = nobody may",
    ),
    Setting("MEDIA_PORT", read.whole_number(0, 65535), "TCP port of the media process", "8001"),
    Setting(
        "MEDIA_UDP_PORT",
        read.whole_number(0, 65535),
        "UDP port of WebRTC; 0 = any free one",
        "8189",
    ),
    Setting(
        "MEDIA_PUBLIC_IP",
        read.list_of(read.ip_address),
        "addresses that WebRTC announces, the first preferred; empty = the machine's own",
    ),
    Setting(
        "MEDIA_GSO",
        read.flag,
        "1: UDP packets go to the kernel in runs (Linux; a network card has to take it)",
        "0",
    ),
    Setting(
        "MEDIA_LOAD_MARK",
        read.whole_number(1, 100),
        "percent of a core above which no new viewer of video is let in",
        "80",
    ),
    Setting(
        "ICE_SERVERS",
        read.ice_servers,
        "STUN and TURN servers: URLs, or tables `{urls, username, credential}`",
        secret=True,
    ),
    Setting(
        "RTMP_PORT", read.whole_number(0, 65535), "kept for RTMP, which is not served yet", "1935"
    ),
    Setting(
        "IO_URING",
        read.flag,
        "0: frames go to each viewer by a system call of its own, as without Linux' io_uring",
        "1",
    ),
    Setting(
        "LIMIT_LOOPBACK",
        read.flag,
        "1: limits per address count loopback too (0 spares it where no proxy forwarded)",
        "0",
    ),
    Setting(
        "FLOOD_RULES",
        read.flag,
        "1: one person's messages are limited in rate and repeats; 0 for load tests",
        "1",
    ),
    Setting("LOG_FORMAT", read.one_of("plain", "json"), "`plain` or `json` lines", "plain"),
    Setting(
        "LOG_LEVEL",
        read.one_of("debug", "info", "warning", "error"),
        "`debug`, `info`, `warning` or `error`",
        "info",
    ),
)

CLIENT_OPTIONS: dict[str, read.Reader] = {
    "insecure": read.flag,
    "personal_channel": read.flag,
    "allowed_origins": read.list_of(read.origin_or_any),
    "compression": read.flag,
    "connects_per_second": read.whole_number(0, MAX_PER_SECOND),
    "soft_mark_bytes": read.whole_number(4 * 1024, MAX_MARK_BYTES),
    "hard_mark_bytes": read.whole_number(MIN_HARD_MARK_BYTES, MAX_MARK_BYTES),
}

NAMESPACE_OPTIONS: dict[str, read.Reader] = {
    "history_size": read.whole_number(0, MAX_HISTORY),
    "history_ttl_seconds": read.whole_number(0, MAX_HISTORY_TTL_SECONDS),
    "recovery": read.flag,
    "presence": read.flag,
    "join_leave": read.flag,
    "publish": read.one_of("nobody", "subscriber", "anyone"),
    "delta": read.list_of(read.one_of("fossil")),
    "tick_ms": read.whole_number(0, MAX_TICK_MS),
}


def load(toml_path: Path | None, environ: Mapping[str, str], *, role: str = "all") -> Config:
    """
    Read the file (None = none) and the `LIVESERVER_…` variables, which win; for a server of `role`.

    Raises ConfigErrors with all mistakes.
    """
    mistakes: list[str] = []
    document = _read_file(toml_path, mistakes) if toml_path else {}
    where = str(toml_path)
    tables = {name: document.pop(name, {}) for name in ("client", "namespaces")}
    values = _read_settings(document, where, environ, mistakes)
    client = _read_table(tables["client"], CLIENT_OPTIONS, f"{where}: [client]", mistakes)
    values["client"] = ClientOptions(**client)
    values["namespaces"] = _read_namespaces(tables["namespaces"], where, mistakes)
    config = Config(**values)
    mistakes += _contradictions(config, values) + _missing_for(role, config)
    if mistakes:
        raise ConfigErrors(mistakes)
    return config


def _read_file(path: Path, mistakes: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        mistakes.append(f"{path}: cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        mistakes.append(f"{path}: is not UTF-8 text")
    except tomllib.TOMLDecodeError as error:
        mistakes.append(f"{path}: is not valid TOML: {error}")
    return {}


def _read_settings(
    document: dict[str, Any], where: str, environ: Mapping[str, str], mistakes: list[str]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    keys = [setting.name.lower() for setting in SETTINGS]
    for key in document.keys() - set(keys):
        known = [*keys, "client", "namespaces"]
        mistakes.append(f"{where}: unknown setting {key!r}{_suggest(key, known)}")
    for setting in SETTINGS:
        key = setting.name.lower()
        if (PREFIX + setting.name) in environ:
            _read_one(
                setting, PREFIX + setting.name, environ[PREFIX + setting.name], values, mistakes
            )
        elif key in document:
            _read_one(setting, f"{where}: {key}", document[key], values, mistakes)
    _unknown_variables(environ, mistakes)
    return values


def _read_one(
    setting: Setting, label: str, value: Any, values: dict[str, Any], mistakes: list[str]
) -> None:
    if value == "":
        return  # an empty variable means the default, as compose files pass them
    try:
        values[setting.name.lower()] = setting.reader(value)
    except ValueError as error:
        words = str(error).replace(repr(value), "this") if setting.secret else str(error)
        mistakes.append(f"{label}: {words}")


def _unknown_variables(environ: Mapping[str, str], mistakes: list[str]) -> None:
    known = [PREFIX + setting.name for setting in SETTINGS]
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known:
            if name.startswith((f"{PREFIX}CLIENT_", f"{PREFIX}NAMESPACES_")):
                hint = f"; the tables [client] and [namespaces] are set in {CONFIG_FILE} alone"
            else:
                hint = _suggest(name, known)
            mistakes.append(f"{name}: unknown setting{hint}")


def _suggest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    if not near:  # PORT for port
        near = [key for key in known if key.lower() == name.lower()]
    return f"; did you mean {near[0]!r}?" if near else ""


def _read_table(
    table: Any, options: dict[str, read.Reader], where: str, mistakes: list[str]
) -> dict[str, Any]:
    if not isinstance(table, dict):
        mistakes.append(f"{where}: must be a table")
        return {}
    values = {}
    for key, value in table.items():
        if key not in options:
            mistakes.append(f"{where}: unknown setting {key!r}{_suggest(key, list(options))}")
            continue
        try:
            values[key] = options[key](value)
        except ValueError as error:
            mistakes.append(f"{where}: {key}: {error}")
    return values


def _read_namespaces(tables: Any, where: str, mistakes: list[str]) -> dict[str, dict[str, Any]]:
    if not isinstance(tables, dict):
        mistakes.append(f"{where}: [namespaces] must hold one table a namespace")
        return {}
    found = {}
    for name, table in tables.items():
        label = f'{where}: [namespaces."{name}"]'
        if name in BUILT_IN_NAMESPACES:
            mistakes.append(f"{label}: {name!r} is built in and cannot be changed")
        elif not re.fullmatch(r"[A-Za-z0-9_-]{0,64}", name):
            mistakes.append(f"{label}: the name may hold letters, digits, - and _ (up to 64)")
        else:
            found[name] = options = _read_table(table, NAMESPACE_OPTIONS, label, mistakes)
            kept = options.get("history_size") and options.get("history_ttl_seconds")
            if options.get("recovery") and not kept:
                mistakes.append(f"{label}: recovery needs history_size and history_ttl_seconds")
    return found


def _contradictions(config: Config, given: Container[str]) -> list[str]:
    """What no single setting shows; `given` are the names that somebody set."""
    found = []
    if config.client.soft_mark_bytes > config.client.hard_mark_bytes:
        found.append("[client] soft_mark_bytes: must not be above hard_mark_bytes")
    if bool(config.tls_cert) != bool(config.tls_key):
        found.append("TLS_CERT and TLS_KEY: set both or neither")
    elif config.tls_cert:
        try:
            tls.server_context(config.tls_cert, config.tls_key)
        except tls.TlsError as error:
            found.append(str(error))
    if config.token_jwks:
        required = {"TOKEN_ISSUER": config.token_issuer, "TOKEN_AUDIENCE": config.token_audience}
        found += [f"{name}: required with TOKEN_JWKS" for name in required if not required[name]]
    else:
        idle = ("token_issuer", "token_audience", "token_jwks_roles")
        found += [
            f"{name.upper()}: means nothing without TOKEN_JWKS"
            for name in idle
            if getattr(config, name)
        ]
    return found + _ports_used_twice(config, given)


def _ports_used_twice(config: Config, given: Container[str]) -> list[str]:
    found = []
    used: dict[int, str] = {}
    for name in ("port", "media_port", "rtmp_port"):
        port = getattr(config, name)
        if port and name in given:
            if port in used:
                found.append(f"{name.upper()}: {port} is {used[port].upper()} already")
            used.setdefault(port, name)
    return found


def _missing_for(role: str, config: Config) -> list[str]:
    """One role alone shares its state with processes elsewhere."""
    if role == "all":
        return []
    return [
        f"{name.upper()}: required with --role {role}"
        for name in ("redis_url", "database_url")
        if not getattr(config, name)
    ]


def settings_table() -> str:
    """The Markdown table of docs/settings.md."""
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    for setting in SETTINGS:
        default = f"`{setting.default}`" if setting.default else "empty"
        lines.append(f"| `{setting.name}` | {default} | {setting.doc} |")
    return "\n".join(lines) + "\n"
