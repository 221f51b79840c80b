"""
The shop's HTTP door as a load generator uses it: sign in, prepare a sale, read the outcome.

Only the public contract is used; nothing of the server is imported.
"""

from typing import Any

import aiohttp

Json = dict[str, Any]


class Shop:
    """One server at `base`, over one client session without a connection limit."""

    def __init__(self, base: str) -> None:
        self.base = base.rstrip("/")
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=False),
            timeout=aiohttp.ClientTimeout(total=10),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def __aenter__(self) -> "Shop":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    async def call(
        self,
        method: str,
        path: str,
        token: str | None = None,
        body: Json | None = None,
        **headers: str,
    ) -> Json:
        """
        One request that must succeed.

        Raises:
            aiohttp.ClientResponseError: If the answer is not 2xx; the message is the problem's.
        """
        head = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            head["Authorization"] = f"Bearer {token}"
        url = self.base + path
        async with self.session.request(method, url, json=body, headers=head) as answer:
            if answer.status == 204:
                return {}
            content: Json = await answer.json(content_type=None)
            if answer.status >= 400:
                detail = f"{method} {path}: {content.get('title')}: {content.get('detail')}"
                raise aiohttp.ClientResponseError(
                    answer.request_info, (), status=answer.status, message=detail
                )
            return content

    async def sign_in(self, user: str, password: str) -> str:
        """A token for an account."""
        body = {"user": user, "password": password}
        return str((await self.call("POST", "/v1/session", body=body))["token"])

    async def guest(self, name: str) -> Json:
        """A guest session: `{token, user, …}`."""
        return await self.call("POST", "/v1/session", body={"name": name})

    async def start_sale(self, token: str, room: str, sku: str, units: int, **more: Any) -> Json:
        """A flash sale that runs at once; the flash price is the product's list of the demo."""
        body = {"sku": sku, "price_cents": 100, "units": units, "confirm_low_price": True, **more}
        return await self.call("POST", f"/v1/rooms/{room}/flash-sales", token, body)
