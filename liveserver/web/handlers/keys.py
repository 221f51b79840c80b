"""API keys of merchants' and the administrator's own programs."""

from typing import Any

from liveserver.api_keys_sql import ApiKey
from liveserver.problems import Refused
from liveserver.scopes import SCOPES_OF
from liveserver.web.requests.keys import Key, KeyList, KeyWithSecret, NewKey
from liveserver.web.route import Call, Created, Route, Subject, of_shop
from orders.times import rfc3339


async def of_key(call: Call) -> Subject:
    """The shop that the key belongs to; none for an administrator's."""
    found = await call.services.api_keys.get(call.params["key"])
    if found is None:
        raise Refused("not-found", "There is no such API key.")
    return Subject(merchant=found.merchant)


async def create(call: Call) -> Created:
    """Send it as `Authorization: Bearer lsk_…`. This is the only answer that shows it."""
    body: NewKey = call.body
    known = SCOPES_OF[call.who.role]
    scopes = tuple(dict.fromkeys(body.scopes))
    unknown = [scope for scope in scopes if scope not in known]
    if unknown:
        raise Refused(
            "validation",
            f"Unknown scopes: {', '.join(unknown)}. There are {', '.join(known)}.",
            field="scopes",
        )
    made, secret = await call.services.api_keys.make(call.who, body.name, scopes)
    return Created(KeyWithSecret(key=secret, **_fields(made)), f"/v1/api-keys/{made.id}")


async def list_keys(call: Call) -> KeyList:
    """A shop's keys; all of them for the administrator."""
    shop = None if call.who.role == "admin" else call.merchant
    found = await call.services.api_keys.list(shop)
    return KeyList(items=[Key(**_fields(key)) for key in found], next_cursor=None)


async def delete(call: Call) -> None:
    """Programs that still send it are refused from now on, by every worker."""
    await call.services.api_keys.delete(call.params["key"])


def _fields(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": list(key.scopes),
        "hint": key.hint,
        "created_by": key.maker,
        "merchant": key.merchant,
        "created_at": rfc3339(key.made_at),
        "last_used_at": None if key.used_at is None else rfc3339(key.used_at),
    }


ROUTES = [
    Route(
        method="GET",
        path="/v1/api-keys",
        action="key.list",
        handler=list_keys,
        summary="API keys of my programs",
        tag="people",
        about=of_shop,
        answer=KeyList,
    ),
    Route(
        method="POST",
        path="/v1/api-keys",
        action="key.create",
        handler=create,
        summary="Make an API key (shown once)",
        tag="people",
        request=NewKey,
        about=of_shop,
        answer=KeyWithSecret,
        status=201,
        refuses=("invalid-state",),
        limit="write",
    ),
    Route(
        method="DELETE",
        path="/v1/api-keys/{key}",
        action="key.delete",
        handler=delete,
        summary="End an API key",
        tag="people",
        about=of_key,
        status=204,
        limit="write",
    ),
]
