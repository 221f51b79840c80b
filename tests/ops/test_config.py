"""Settings: read from file and environment, every mistake told at once and in words."""

import io
import json
from pathlib import Path

import pytest

from liveserver import config, tls, worker_settings
from liveserver.config import Config, ConfigErrors
from liveserver.worker_settings import WorkerSettings


def mistakes(
    text: str | None, environ: dict[str, str], tmp_path: Path, role: str = "all"
) -> list[str]:
    path = tmp_path / "liveserver.toml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigErrors) as told:
        config.load(path if text is not None else None, environ, role=role)
    return [it.replace(str(path), "FILE") for it in told.value.mistakes]


def test_nothing_set_means_the_documented_defaults() -> None:
    """The table of defaults is what one gets."""
    loaded = config.load(None, {})
    for setting in config.SETTINGS:
        wanted = setting.reader(setting.default) if setting.default else None
        value = getattr(loaded, setting.name.lower())
        assert value == wanted if setting.default else not value, setting.name


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """And an empty variable means the default, as compose files pass them."""
    path = tmp_path / "liveserver.toml"
    path.write_text('port = 9000\nhost = "0.0.0.0"\nworkers = 4\n')
    loaded = config.load(path, {"LIVESERVER_PORT": "9100", "LIVESERVER_WORKERS": "", "PORT": "1"})
    assert (loaded.port, loaded.host, loaded.workers) == (9100, "0.0.0.0", 1)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """File, environment, tables and contradictions in one list."""
    text = """
        port = 70000
        prot = 3
        [client]
        insecur = true
        [namespaces.""]
        history_size = -1
        publish = "everyone"
        [namespaces.room]
        presence = true
    """
    environ = {
        "LIVESERVER_WORKERS": "many",
        "LIVESERVER_TLS_CERT": "/nowhere/cert.pem",
        "LIVESERVER_REDISURL": "redis://x",
        "LIVESERVER_TRUSTED_PROXIES": "10.0.0.1/8",
        "LIVESERVER_TOKEN_ISSUER": "https://login.example",
    }
    told = "\n".join(mistakes(text, environ, tmp_path))
    for words in (
        "FILE: port: must be a whole number from 0 to 65535, not 70000",
        "FILE: unknown setting 'prot'; did you mean 'port'?",
        "FILE: [client]: unknown setting 'insecur'; did you mean 'insecure'?",
        'FILE: [namespaces.""]: history_size: must be a whole number from 0 to 10000, not -1',
        'FILE: [namespaces.""]: publish: must be one of nobody, subscriber, anyone',
        "'room' is built in",
        "LIVESERVER_WORKERS: must be a whole number from 1 to 64, not 'many'",
        "LIVESERVER_TLS_CERT: cannot read /nowhere/cert.pem: No such file",
        "LIVESERVER_REDISURL: unknown setting; did you mean 'LIVESERVER_REDIS_URL'?",
        "did you mean 10.0.0.0/8?",
        "TOKEN_ISSUER: means nothing without TOKEN_JWKS",
    ):
        assert words in told, told
    assert len(told.splitlines()) == 11


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PORT", "8000x", "whole number"),
        ("HOST", "http://here", "without scheme"),
        ("PUBLIC_URL", "shop.example", "origins such as"),
        ("PUBLIC_URL", "https://shop.example/live", "without a path"),
        ("REDIS_URL", "http://x", "redis://"),
        ("REDIS_URL", "redis://", "must name a host"),
        ("REDIS_URL", "redis://x:port", "is not a URL"),
        ("DATABASE_URL", "mysql://a/b", "must be postgresql:// or sqlite://"),
        ("DATABASE_URL", "postgresql://host", "must name a database"),
        ("DATABASE_URL", "sqlite://", "must name a file"),
        ("DATABASE_URL", "nonsense", "is not a database URL"),
        ("TOKEN_JWKS", "/nowhere.json", "cannot read"),
        ("IMAGE_ORIGINS", "https://ok.example, x; script-src *", "origins such as"),
        ("WEBHOOK_ALLOWED_CIDRS", "localhost", "networks such as"),
        ("MEDIA_PUBLIC_IP", "here", "IP address"),
        ("MEDIA_UDP_PORT", "-1", "whole number"),
        ("RTMP_PORT", "on", "whole number"),
        ("ICE_SERVERS", "http://x", "stun:"),
        ("ICE_SERVERS", "turn:t.example", "needs username and credential"),
        ("ICE_SERVERS", "[{", "not valid JSON"),
        ("LIMIT_LOOPBACK", "perhaps", "true or false"),
        ("LOG_FORMAT", "xml", "one of plain, json"),
        ("TOKEN_JWKS_ROLES", "king", "roles above viewer"),
        ("CLIENT_INSECURE", "1", "set in liveserver.toml alone"),
    ],
)
def test_a_wrong_value_is_told_with_its_name(
    name: str, value: str, words: str, tmp_path: Path
) -> None:
    """The variable that somebody wrote is the one that is named."""
    told = mistakes(None, {f"LIVESERVER_{name}": value}, tmp_path)
    assert told[0].startswith(f"LIVESERVER_{name}: "), told
    assert words in told[0], told


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("postgresql://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        ("postgres://u:p@h/d?sslmode=require", "postgresql+asyncpg://u:p@h/d?ssl=require"),
        ("postgresql+asyncpg://u@/d?host=/run", "postgresql+asyncpg://u@/d?host=%2Frun"),
        ("sqlite:////srv/shop.db", "sqlite+aiosqlite:////srv/shop.db"),
    ],
)
def test_database_urls_get_their_asynchronous_driver(given: str, read: str) -> None:
    """What other tools print can be pasted."""
    assert config.load(None, {"LIVESERVER_DATABASE_URL": given}).database_url == read


def test_valkey_urls_are_read_as_redis_urls() -> None:
    """The same protocol under another name."""
    loaded = config.load(None, {"LIVESERVER_REDIS_URL": "valkeys://h:1/0"})
    assert loaded.redis_url == "rediss://h:1/0"


def test_a_single_role_needs_shared_state(tmp_path: Path) -> None:
    """It has no supervisor that would bring a Valkey along."""
    told = mistakes(None, {}, tmp_path, role="gateway")
    assert told == [
        "REDIS_URL: required with --role gateway",
        "DATABASE_URL: required with --role gateway",
    ]


def test_a_key_set_needs_issuer_and_audience(tmp_path: Path) -> None:
    """Else any token of that issuer, made for anything, would open the shop."""
    told = mistakes(None, {"LIVESERVER_TOKEN_JWKS": "https://login.example/keys"}, tmp_path)
    assert told == [
        "TOKEN_ISSUER: required with TOKEN_JWKS",
        "TOKEN_AUDIENCE: required with TOKEN_JWKS",
    ]


def test_two_listeners_cannot_share_a_port(tmp_path: Path) -> None:
    """Told before the second one fails; a default gives way silently."""
    told = mistakes(None, {"LIVESERVER_PORT": "1935", "LIVESERVER_RTMP_PORT": "1935"}, tmp_path)
    assert told == ["RTMP_PORT: 1935 is PORT already"]
    assert config.load(None, {"LIVESERVER_PORT": "1935"}).port == 1935


@pytest.mark.parametrize("text", ["port = ", "[client]\n[client]", "a = 1\na = 2"])
def test_a_file_that_is_no_toml_is_told_with_its_place(text: str, tmp_path: Path) -> None:
    """And the environment is checked all the same."""
    told = mistakes(text, {"LIVESERVER_PORT": "x"}, tmp_path)
    assert told[0].startswith("FILE: is not valid TOML")
    assert told[1].startswith("LIVESERVER_PORT")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """A typo in --config must not start a server with defaults."""
    with pytest.raises(ConfigErrors) as told:
        config.load(tmp_path / "none.toml", {})
    assert "cannot be read" in told.value.mistakes[0]


def test_tables_of_the_contract_are_read(tmp_path: Path) -> None:
    """[client] and [namespaces.*], with what was not set left to the namespace's defaults."""
    path = tmp_path / "liveserver.toml"
    path.write_text(
        """
        [client]
        insecure = true
        allowed_origins = ["https://shop.example"]
        [namespaces.""]
        history_size = 100
        history_ttl_seconds = 300
        recovery = true
        presence = true
        join_leave = true
        publish = "subscriber"
        delta = ["fossil"]
        tick_ms = 0
        [namespaces.smallhistory]
        history_size = 2
        """
    )
    loaded = config.load(path, {})
    assert loaded.client.insecure
    assert loaded.client.personal_channel
    assert loaded.client.allowed_origins == ("https://shop.example",)
    assert loaded.namespaces[""]["delta"] == ("fossil",)
    assert loaded.namespaces["smallhistory"] == {"history_size": 2}
    assert any("insecure" in warning for warning in loaded.warnings())


def test_recovery_needs_something_to_recover_from(tmp_path: Path) -> None:
    """Told at the start, not when the first client comes back."""
    told = mistakes("[namespaces.x]\nrecovery = true\nhistory_size = 5", {}, tmp_path)
    assert told == ['FILE: [namespaces."x"]: recovery needs history_size and history_ttl_seconds']


def test_a_short_secret_is_taken_with_a_warning() -> None:
    """Any secret that a shop's login already uses works."""
    loaded = config.load(None, {"LIVESERVER_TOKEN_SECRET": "short"})
    assert loaded.token_secret == "short"
    assert any("TOKEN_SECRET" in warning for warning in loaded.warnings())


def test_secrets_are_in_no_repr_and_no_mistake(tmp_path: Path) -> None:
    """Whatever is logged, they are not in it."""
    environ = {
        "LIVESERVER_TOKEN_SECRET": "hush-1",
        "LIVESERVER_API_KEY": "hush-2",
        "LIVESERVER_DATABASE_URL": "postgresql://u:hush-3@h/d",
        "LIVESERVER_REDIS_URL": "redis://:hush-4@h",
    }
    assert "hush" not in repr(config.load(None, environ))
    environ["LIVESERVER_DATABASE_URL"] = "postgresql://u:hush-3@h:port/d"
    assert "hush" not in str(mistakes("token_secret = 12", environ, tmp_path))


def test_a_worker_reads_what_the_supervisor_wrote(tmp_path: Path) -> None:
    """All settings survive the pipe, paths and nested tables included."""
    path = tmp_path / "liveserver.toml"
    path.write_text(
        'ice_servers = ["stun:s.example", {urls = "turn:t", username = "u", credential = "c"}]\n'
        "[namespaces.x]\nhistory_size = 5\n"
    )
    settings = WorkerSettings(
        config=config.load(path, {"LIVESERVER_DATA_DIR": str(tmp_path)}),
        roles=("gateway", "orders"),
        node="n-1",
        redis_url="unix:///x",
        database_url="sqlite+aiosqlite:///x",
        token_secret="s",
        public_url="http://127.0.0.1:1",
        listen_fd=3,
    )
    encoded = worker_settings.encode(settings)
    assert json.loads(encoded)["config"]["data_dir"] == str(tmp_path)
    assert worker_settings.decode(encoded) == settings


def test_the_documented_table_is_the_one_in_code() -> None:
    """docs/settings.md cannot fall behind."""
    root = Path(__file__).resolve().parents[2]
    text = (root / "docs" / "settings.md").read_text(encoding="utf-8")
    assert config.settings_table() in text, "paste config.settings_table() into docs/settings.md"
    for option in (*config.CLIENT_OPTIONS, *config.NAMESPACE_OPTIONS):
        assert f"`{option}`" in text, option


def test_certificate_and_key_that_do_not_belong_together_are_told(tmp_path: Path) -> None:
    """In words, at the start, not at the first handshake."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    cert, key = tls.lan_certificate(one, ["192.168.1.5"])
    _, other_key = tls.lan_certificate(two, ["192.168.1.5"])
    assert tls.server_context(cert, key)
    with pytest.raises(tls.TlsError, match="do not belong together"):
        tls.server_context(cert, other_key)
    with pytest.raises(tls.TlsError, match="no PEM files"):
        tls.server_context(key, key)


def test_a_self_made_certificate_is_kept_until_an_address_is_missing(tmp_path: Path) -> None:
    """A phone that accepted it once is not asked again."""
    cert, key = tls.lan_certificate(tmp_path, ["192.168.1.5"])
    first = Path(cert).read_bytes()
    assert Path(key).stat().st_mode & 0o777 == 0o600
    tls.lan_certificate(tmp_path, ["192.168.1.5"])
    assert Path(cert).read_bytes() == first
    tls.lan_certificate(tmp_path, ["192.168.1.5", "10.0.0.2"])
    assert Path(cert).read_bytes() != first


def test_a_link_is_shown_as_a_code_for_phones() -> None:
    """Half blocks, two modules a character: it fits into any terminal."""
    shown = io.StringIO()
    tls.print_qr("https://192.168.1.5:8000/rooms/demo", shown)
    lines = shown.getvalue().splitlines()
    assert len(lines) < 24
    assert any("\u2588" in line for line in lines)


def test_defaults_need_no_environment() -> None:
    """A Config made in a test is the one of an empty environment."""
    assert Config() == config.load(None, {})
