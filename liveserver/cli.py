"""
The command line: `liveserver run`, and the operator's commands.

Mistakes are answered in words: exit code 2 for wrong settings or arguments, 1 for everything else.
"""

import argparse
import asyncio
import getpass
import os
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from liveserver import config as settings
from liveserver import datadir, logs
from liveserver.config import Config, ConfigErrors
from liveserver.identity import Identity, Role

if TYPE_CHECKING:
    from liveserver.people import People

WRONG_SETTINGS = 2
FAILED = 1
TOKEN_DAYS = 30  # as long as a guest's session


class CommandError(Exception):
    """The command cannot do it; the message says why in words."""


def main(arguments: list[str] | None = None) -> int:
    """The exit code of one command."""
    parsed = build_parser().parse_args(arguments)
    try:
        config = load_config(parsed)
        command: Callable[[argparse.Namespace, Config], int] = parsed.command
        return command(parsed, config)
    except ConfigErrors as errors:
        print("liveserver: the settings are wrong:", file=sys.stderr)
        for mistake in errors.mistakes:
            print(f"  - {mistake}", file=sys.stderr)
        return WRONG_SETTINGS
    except (CommandError, datadir.DataDirError) as error:
        print(f"liveserver: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 130


def load_config(parsed: argparse.Namespace) -> Config:
    """The settings of this run: file, environment, then arguments. Raises ConfigErrors."""
    path = parsed.config
    if path is None and Path(settings.CONFIG_FILE).exists():
        path = Path(settings.CONFIG_FILE)
    environ = dict(os.environ)
    if getattr(parsed, "workers", None) is not None:
        environ["LIVESERVER_WORKERS"] = parsed.workers
    return settings.load(path, environ, role=getattr(parsed, "server_role", "all"))


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="liveserver", description="A server for live commerce.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, words: str, command: Callable[..., int]) -> argparse.ArgumentParser:
        return _command(commands, name, words, command)

    run = add("run", "serve until Ctrl-C or SIGTERM", run_server)
    run.add_argument("--workers", metavar="N", help="gateway processes (setting WORKERS)")
    run.add_argument(
        "--role",
        dest="server_role",
        choices=("all", "gateway", "orders", "media"),
        default="all",
    )
    run.add_argument("--demo", action="store_true", help="a live demo shop with accounts")
    run.add_argument(
        "--crowd", metavar="N", type=_count, help="synthetic viewers of the demo (or CROWD=N)"
    )
    _add_user_commands(_group(commands, "user", "accounts"))
    token = add("token", "make a token for the viewer socket and HTTP", make_token)
    token.add_argument("--user", required=True, metavar="U", help="the token's sub")
    token.add_argument("--ttl", type=_count, default=TOKEN_DAYS * 86_400, metavar="SECONDS",
                       help="0 = it never expires")  # fmt: skip
    _add_rights(token)
    add("check-config", "read the settings and name every mistake", check_config)
    stock = _group(commands, "stock", "the books")
    _command(stock, "audit", "recompute every counter; 1 if one differs", audit_stock)
    repair = _command(stock, "repair", "set wrong counters right; 1 if any is left", repair_stock)
    repair.add_argument("--dry-run", action="store_true", help="only say what would be done")
    for name, words, command in (
        ("backup", "copy database, secret and pictures into one tar file", make_backup),
        ("restore", "put such a file in place; the server must be stopped", put_backup),
    ):
        sub = add(name, words, command)
        sub.add_argument("file", type=Path, metavar="FILE")
    add("doctor", "look at everything a server needs; 1 if something is wrong", examine)
    database = _group(commands, "db", "the database")
    _command(database, "upgrade", "bring the schema to the newest version", upgrade_database)
    return parser


def _add_user_commands(users: Any) -> None:
    for name, words, command in (
        ("add", "make an account", add_user),
        ("passwd", "set a password; older tokens end", set_password),
        ("disable", "close an account; its tokens end", disable_user),
        ("enable", "open a closed account again", enable_user),
    ):
        sub = _command(users, name, words, command)
        sub.add_argument("name", metavar="NAME")
        if name in ("add", "passwd"):
            sub.add_argument("--password-stdin", action="store_true", help="first line of stdin")
        if name == "add":
            _add_rights(sub)


def _add_rights(parser: argparse.ArgumentParser) -> None:
    roles = get_args(Role)
    parser.add_argument(
        "--role", choices=roles, default="viewer", metavar="R", help=", ".join(roles)
    )
    parser.add_argument("--rooms", type=_words, default=(), metavar="A,B")
    parser.add_argument("--merchant", metavar="M", help="the shop of a merchant")
    parser.add_argument("--name", dest="shown_name", metavar="TEXT", help="the name others see")


def _group(commands: Any, name: str, words: str) -> Any:
    return commands.add_parser(name, help=words).add_subparsers(required=True, metavar="COMMAND")


def _command(
    commands: Any, name: str, words: str, command: Callable[..., int]
) -> argparse.ArgumentParser:
    sub: argparse.ArgumentParser = commands.add_parser(name, help=words, description=words)
    sub.add_argument("--config", type=Path, metavar="FILE", help="instead of ./liveserver.toml")
    sub.set_defaults(command=command)
    return sub


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in (part.strip() for part in text.split(",")) if word)


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return number


# commands


def run_server(parsed: argparse.Namespace, config: Config) -> int:
    from liveserver.supervisor import WORDED_ERRORS, RunOptions, Supervisor

    options = RunOptions(
        role=parsed.server_role,
        demo=parsed.demo,
        lan=os.environ.get("LAN", "") not in ("", "0"),
        crowd=parsed.crowd if parsed.crowd is not None else _crowd_of_environment(),
        crowd_buys=os.environ.get("CROWD_BUYS", "") not in ("", "0"),
    )
    mistakes = []
    if options.demo and options.role == "gateway":
        mistakes.append("--demo: not with --role gateway")
    if options.crowd and not options.demo:
        mistakes.append("--crowd: only with --demo")
    if mistakes:
        raise ConfigErrors(mistakes)
    logs.configure(config.log_format, config.log_level, "liveserver")
    _log_warnings(config)

    async def serve() -> int:
        return await Supervisor(config, options, sys.stdout).run()

    try:
        return asyncio.run(serve())
    except WORDED_ERRORS as error:
        raise CommandError(str(error)) from None


def _crowd_of_environment() -> int:
    try:
        return _count(os.environ.get("CROWD", "") or "0")
    except (ValueError, argparse.ArgumentTypeError):
        raise ConfigErrors(["CROWD: must be a number of viewers"]) from None


def _log_warnings(config: Config) -> None:
    import logging

    for warning in config.warnings():
        logging.getLogger("liveserver").warning("%s", warning)


def check_config(parsed: argparse.Namespace, config: Config) -> int:
    for setting in settings.SETTINGS:
        value = getattr(config, setting.name.lower())
        if setting.secret:
            value = "(set)" if value else "(empty)"
        elif isinstance(value, tuple):
            value = ", ".join(map(str, value))
        print(f"{setting.name.lower():22} {value}".rstrip())
    for warning in config.warnings():
        print(f"warning: {warning}")
    print("The settings are right.")
    return 0


def add_user(parsed: argparse.Namespace, config: Config) -> int:
    password = _ask_password(parsed)

    async def work(people: "People") -> None:
        await people.add(
            parsed.name, password, parsed.role, parsed.rooms, parsed.merchant, parsed.shown_name
        )

    return _with_people(config, work, f"{parsed.name} can log in as {parsed.role}.")


def set_password(parsed: argparse.Namespace, config: Config) -> int:
    password = _ask_password(parsed)

    async def work(people: "People") -> None:
        await people.passwd(parsed.name, password)

    return _with_people(config, work, f"{parsed.name} has a new password.")


def disable_user(parsed: argparse.Namespace, config: Config) -> int:
    async def work(people: "People") -> None:
        await people.disable(parsed.name)

    return _with_people(config, work, f"{parsed.name} is closed.")


def enable_user(parsed: argparse.Namespace, config: Config) -> int:
    async def work(people: "People") -> None:
        await people.disable(parsed.name, False)

    return _with_people(config, work, f"{parsed.name} is open again.")


def make_token(parsed: argparse.Namespace, config: Config) -> int:
    from liveserver.tokens import Tokens

    secret = config.token_secret
    if not secret:
        datadir.prepare(config.data_dir)
        secret = datadir.token_secret(config.data_dir)
    identity = Identity(
        user=parsed.user,
        name=parsed.shown_name or parsed.user[:24],
        role=parsed.role,
        rooms=parsed.rooms,
        merchant=parsed.merchant,
    )
    print(Tokens(secret, now=_wall_ms).issue(identity, parsed.ttl or None))
    return 0


def audit_stock(parsed: argparse.Namespace, config: Config) -> int:
    """Print exactly the differences; 1 if there are any."""
    from liveserver.db import make_engine
    from orders.audit_sql import audit

    async def work() -> list[str]:
        engine = make_engine(config.data_database_url, read_only=True)
        try:
            return [str(difference) for difference in await audit(engine)]
        finally:
            await engine.dispose()

    _must_exist(config)
    differences = _run_on_database(config, work(), upgrade=False)
    for difference in differences:
        print(difference)
    return FAILED if differences else 0


def repair_stock(parsed: argparse.Namespace, config: Config) -> int:
    """Set the counters that the audit finds wrong; 1 if something is left for a person."""
    from liveserver.db import make_engine
    from orders.repair_sql import CannotRepair, Repaired, repair

    async def work() -> Repaired:
        engine = make_engine(config.data_database_url)
        try:
            return await repair(engine, _wall_ms(), dry_run=parsed.dry_run)
        finally:
            await engine.dispose()

    _must_exist(config)
    try:
        found: Repaired = _run_on_database(config, work(), upgrade=False)
    except CannotRepair as error:
        raise CommandError(f"nothing was changed, more is held than there is: {error}") from None
    for line in found.done:
        print(f"{line}{' (not done)' if parsed.dry_run else ''}")
    for line in found.left:
        print(f"needs a person: {line}")
    return FAILED if found.left else 0


def make_backup(parsed: argparse.Namespace, config: Config) -> int:
    from liveserver import backup

    _must_be_sqlite(config)
    try:
        manifest = backup.backup(config.data_dir, parsed.file)
    except backup.BackupError as error:
        raise CommandError(str(error)) from None
    print(f"{parsed.file}: {len(manifest['sha256'])} files, written and read back.")
    return 0


def put_backup(parsed: argparse.Namespace, config: Config) -> int:
    from liveserver import backup

    _must_be_sqlite(config)
    try:
        aside = backup.restore(config.data_dir, parsed.file)
    except (backup.BackupError, OSError) as error:
        raise CommandError(str(error)) from None
    print(f"{config.data_dir} is as it was in {parsed.file}.")
    if aside is not None:
        print(f"What was there before is in {aside}.")
    return 0


def examine(parsed: argparse.Namespace, config: Config) -> int:
    from liveserver import doctor

    logs.configure("plain", "error", "liveserver")
    datadir.prepare(config.data_dir)
    found = asyncio.run(doctor.examine(config))
    for finding in found:
        print(f"{finding.level:4}  {finding.what:11}  {finding.words}")
    return FAILED if any(finding.level == "bad" for finding in found) else 0


def upgrade_database(parsed: argparse.Namespace, config: Config) -> int:
    async def work() -> None:
        """`_run_on_database` did it."""

    _run_on_database(config, work())
    print("The database has the newest schema.")
    return 0


# inside


def _must_exist(config: Config) -> None:
    """A command that only looks must not make an empty database by looking."""
    from sqlalchemy.engine import make_url

    path = make_url(config.data_database_url).database or ""
    if config.data_database_url.startswith("sqlite") and not Path(path).exists():
        raise CommandError(f"there is no database at {path}")


def _must_be_sqlite(config: Config) -> None:
    if config.database_url:
        raise CommandError(
            "this copies the data directory with its SQLite database, and DATABASE_URL names "
            "another one. PostgreSQL: pg_dump --format=custom --file=shop.dump, and pg_restore "
            "--clean --if-exists while no server runs; copy token_secret and images/ of the data "
            "directory beside it"
        )


def _ask_password(parsed: argparse.Namespace) -> str:
    """From standard input where asked so, else twice at the terminal; never an argument."""
    if parsed.password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    elif sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if getpass.getpass("Again: ") != password:
            raise CommandError("the two passwords differ")
    else:
        raise CommandError("there is no terminal to ask at; use --password-stdin")
    if not password:
        raise CommandError("the password is empty")
    return password


def _with_people(
    config: Config, work: Callable[["People"], Coroutine[Any, Any, None]], done: str
) -> int:
    from liveserver.accounts import open_people
    from liveserver.problems import REFUSALS

    async def run() -> None:
        async with open_people(config.data_database_url) as people:
            await work(people)

    try:
        _run_on_database(config, run())
    except REFUSALS as refusal:
        raise CommandError(str(refusal)) from None
    print(done)
    return 0


def _run_on_database(
    config: Config, work: Coroutine[Any, Any, Any], *, upgrade: bool = True
) -> Any:
    """Run `work`, by default on the newest schema; a running server does not mind."""
    from sqlalchemy.exc import DBAPIError

    from liveserver import migrate

    async def run() -> Any:
        try:
            if upgrade:
                await migrate.upgrade(config.data_database_url)
        except BaseException:
            work.close()
            raise
        return await work

    logs.configure("plain", "warning", "liveserver")
    if not config.database_url:
        datadir.prepare(config.data_dir)
    try:
        return asyncio.run(run())
    except migrate.DatabaseError as error:
        raise CommandError(str(error)) from None
    except (DBAPIError, OSError) as error:
        raise CommandError(f"the database cannot be used: {migrate.words(error)}") from None


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
