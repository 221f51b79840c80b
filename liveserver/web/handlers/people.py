"""Accounts, the first start, the shop's settings."""

from typing import Any

import msgspec
from aiohttp import web
from msgspec import UNSET

from liveserver.people import STAFF_TTL_SECONDS, Account
from liveserver.tokens import COOKIE
from liveserver.web.doors import take
from liveserver.web.handlers.sessions import session_answer
from liveserver.web.requests.common import Page
from liveserver.web.requests.people import (
    NewUser,
    PublicConfig,
    SessionWithToken,
    Settings,
    SettingsChanges,
    Setup,
    User,
    UserChanges,
    UserList,
)
from liveserver.web.route import Call, Created, Route
from orders.times import rfc3339


async def create_user(call: Call) -> Created:
    body: NewUser = call.body
    account = await call.services.people.add(
        body.user, body.password, body.role, tuple(body.rooms), body.merchant, body.name
    )
    return Created(_user(account), f"/v1/users/{account.name}")


async def list_users(call: Call) -> UserList:
    page: Page = call.query
    accounts = await call.services.people.list(page.cursor or "", page.limit + 1)
    items = [_user(account) for account in accounts[: page.limit]]
    return UserList(items=items, next_cursor=items[-1].user if len(accounts) > len(items) else None)


async def read_user(call: Call) -> User:
    return _user(await call.services.people.get(call.params["user"]))


async def edit_user(call: Call) -> User:
    changes: UserChanges = call.body
    asked = {
        "password": changes.password,
        "disabled": changes.disabled,
        "display_name": changes.name,
        "role": changes.role,
        "rooms": tuple(changes.rooms) if changes.rooms is not UNSET else UNSET,
        "merchant": changes.merchant,
    }
    given: dict[str, Any] = {name: value for name, value in asked.items() if value is not UNSET}
    return _user(await call.services.people.edit(call.params["user"], **given))


async def complete_setup(call: Call) -> web.Response:
    """Make the first administrator; the link that was printed at the first start is used up."""
    take(call, "login")
    body: Setup = call.body
    settings = {
        "shop_name": body.shop_name,
        "language": body.language,
        "public_url": body.public_url,
    }
    people = call.services.people
    identity = await people.complete_setup(body.token, body.user, body.password, settings)
    return session_answer(call, identity, STAFF_TTL_SECONDS)


async def read_settings(call: Call) -> Settings:
    return Settings(**msgspec.structs.asdict(call.services.people.settings))


async def edit_settings(call: Call) -> Settings:
    body: SettingsChanges = call.body
    given = {k: v for k, v in msgspec.structs.asdict(body).items() if v is not UNSET}
    return Settings(**msgspec.structs.asdict(await call.services.people.edit_settings(given)))


async def read_config(call: Call) -> PublicConfig:
    """What pages need before anybody signed in."""
    options, people = call.services.options, call.services.people
    return PublicConfig(
        shop_name=people.settings.shop_name,
        language=people.settings.language,
        public_url=options.public_url or people.settings.public_url,
        demo=options.demo,
        payments=["demo"] if options.demo else [],
        needs_setup=not options.demo and not people.has_admin,
        version=options.version,
        embed_origins=list(options.embed_origins),
        session=COOKIE in call.request.cookies,
    )


def _user(account: Account) -> User:
    return User(
        user=account.name,
        name=account.display_name,
        role=account.role,
        rooms=list(account.rooms),
        merchant=account.merchant,
        disabled=account.disabled,
        created_at=rfc3339(account.created_at),
    )


ROUTES = [
    Route(
        method="POST",
        path="/v1/users",
        action="user.create",
        handler=create_user,
        summary="Make an account",
        tag="people",
        request=NewUser,
        answer=User,
        status=201,
        refuses=("invalid-state",),
        limit="write",
    ),
    Route(
        method="GET",
        path="/v1/users",
        action="user.list",
        handler=list_users,
        summary="All accounts, by name",
        tag="people",
        query=Page,
        answer=UserList,
    ),
    Route(
        method="GET",
        path="/v1/users/{user}",
        action="user.list",
        handler=read_user,
        summary="One account",
        tag="people",
        answer=User,
    ),
    Route(
        method="PATCH",
        path="/v1/users/{user}",
        action="user.edit",
        handler=edit_user,
        summary="Change an account; its sessions end",
        tag="people",
        request=UserChanges,
        answer=User,
        limit="write",
    ),
    Route(
        method="POST",
        path="/v1/setup",
        action="setup.complete",
        handler=complete_setup,
        summary="First start: the administrator and the shop",
        tag="people",
        request=Setup,
        answer=SessionWithToken,
        status=201,
        refuses=("forbidden", "invalid-state"),
        limit="session",
    ),
    Route(
        method="GET",
        path="/v1/settings",
        action="settings.read",
        handler=read_settings,
        summary="The shop's settings",
        tag="people",
        answer=Settings,
    ),
    Route(
        method="PATCH",
        path="/v1/settings",
        action="settings.edit",
        handler=edit_settings,
        summary="Change the shop's settings",
        tag="people",
        request=SettingsChanges,
        answer=Settings,
        limit="write",
    ),
    Route(
        method="GET",
        path="/v1/config",
        action="config.read",
        handler=read_config,
        summary="What pages need before anybody signed in",
        tag="people",
        answer=PublicConfig,
    ),
]
