"""Pages, files, pictures, and the headers that guard them."""

import io
from dataclasses import replace

from liveserver.web.handlers.pages import PAGES
from liveserver.web.headers import NOBODY
from tests.web.shop import Shop

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


async def test_every_page_is_served_under_a_strict_policy(shop: Shop) -> None:
    """HTML with no way for anything inline or from elsewhere."""
    policy = ""
    for path in PAGES:
        address = path.replace("{room}", "demo").replace("{show}", "shw_1")
        async with shop.call("GET", address) as answer:
            assert answer.status == 200, path
            assert answer.content_type == "text/html"
            assert answer.charset == "utf-8"
            policy = answer.headers["Content-Security-Policy"]
        assert "unsafe" not in policy
    host = shop.url.removeprefix("http://")
    for rule in (
        "default-src 'self'",
        f"ws://{host}",
        "frame-ancestors 'none'",
        "object-src 'none'",
    ):
        assert rule in policy


async def test_people_who_mistype_an_address_get_a_page_and_programs_a_problem(shop: Shop) -> None:
    """A browser that goes there asks for HTML; what scripts and other programs ask for is JSON."""
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    for path in ("/nothing", "/rooms/Demo%20Room", "/rooms/demo/more"):
        async with shop.call("GET", path, headers=browser) as answer:
            assert (answer.status, answer.content_type) == (404, "text/html"), path
            assert "pages/nowhere.js" in await answer.text()
    for path, headers in (("/nothing", {}), ("/v1/nothing", browser), ("/static/nothing", browser)):
        async with shop.call("GET", path, headers=headers) as answer:
            assert (answer.status, answer.content_type) == (404, "application/problem+json"), path


async def test_every_answer_carries_the_guarding_headers(shop: Shop) -> None:
    """Problems and files too."""
    for path in ("/", "/nothing", "/v1/rooms", "/docs", "/static/css/base.css"):
        async with shop.call("GET", path) as answer:
            headers = answer.headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Referrer-Policy"] == "same-origin"
        assert "geolocation=()" in headers["Permissions-Policy"]
        assert "Content-Security-Policy" in headers and "Cache-Control" in headers
        assert headers["Server"] == "liveserver"


async def test_a_host_header_cannot_write_the_policy(shop: Shop) -> None:
    """What a client sends as Host is repeated only if it is a host."""
    headers = {"Host": "x; script-src *"}
    async with shop.call("GET", "/docs", headers=headers) as answer:
        assert "script-src *" not in answer.headers["Content-Security-Policy"]


async def test_a_room_is_framed_by_the_listed_shops_alone(shop: Shop) -> None:
    """Without a list nobody may; with one, only there, and no other page is ever framed."""
    shops = ("https://shop.example", "http://localhost:8100")
    for listed in ((), shops):
        shop.services.options = replace(shop.services.options, embed_origins=listed)
        for path in ("/embed/demo", "/rooms/demo", "/login", "/orders", "/v1/config"):
            async with shop.call("GET", path) as answer:
                policy, old = (
                    answer.headers["Content-Security-Policy"],
                    answer.headers.get("X-Frame-Options"),
                )
            framed = path == "/embed/demo" and listed
            assert policy.endswith(f"frame-ancestors {' '.join(shops) if framed else NOBODY}"), path
            assert old == (None if framed else "DENY"), path
    assert (await shop.json("GET", "/v1/config"))["embed_origins"] == list(shops)


async def test_only_the_modules_for_shops_are_open_to_other_sites(shop: Shop) -> None:
    """`<live-room>` is loaded by CORS; the pages' own modules stay ours."""
    for path, origin in (("embed/live-room.js", "*"), ("api.js", None)):
        async with shop.call("GET", f"/static/js/{path}") as answer:
            assert answer.status == 200
            assert answer.headers.get("Access-Control-Allow-Origin") == origin


async def test_files_are_revalidated_by_etag(shop: Shop) -> None:
    """A second visit costs a 304; a new version shows at once."""
    async with shop.call("GET", "/static/css/base.css") as answer:
        etag = answer.headers["ETag"]
        assert answer.headers["Cache-Control"] == "no-cache"
        assert answer.content_type == "text/css"
    headers = {"If-None-Match": etag}
    async with shop.call("GET", "/static/css/base.css", headers=headers) as answer:
        assert answer.status == 304
    async with shop.call("HEAD", "/static/css/base.css") as answer:
        assert answer.status == 200


async def test_whoever_may_read_may_ask_for_the_head_alone(shop: Shop, room: str) -> None:
    """RFC 9110: the same status and headers as GET, without the body; the rights are the same."""
    async with shop.call("HEAD", f"/v1/rooms/{room}") as answer:
        assert (answer.status, await answer.read()) == (200, b"")
        assert answer.content_type == "application/json"
    async with shop.call("HEAD", "/v1/products") as answer:
        assert answer.status == 401


async def test_modules_have_the_type_that_browsers_insist_on(shop: Shop) -> None:
    """A module with another type is not run."""
    async with shop.call("GET", "/static/js/api.js") as answer:
        assert answer.content_type == "text/javascript"


async def test_a_picture_is_kept_shown_and_replaced(shop: Shop) -> None:
    """Its address changes with its content, so browsers may keep it for ever."""
    product = await shop.product()
    merchant = shop.token("merchant", merchant="shop-a")
    path = f"/v1/products/{product['id']}/image"
    headers = {"Content-Type": "image/png"}
    first = await shop.json("PUT", path, merchant, data=PNG, headers=headers)
    async with shop.call("GET", first["image_url"]) as answer:
        assert answer.status == 200
        assert await answer.read() == PNG
        assert answer.content_type == "image/png"
        assert "immutable" in answer.headers["Cache-Control"]
    second = await shop.json("PUT", path, merchant, data=PNG + b"2", headers=headers)
    third = await shop.json("PUT", path, merchant, data=PNG + b"3", headers=headers)
    assert len({first["image_url"], second["image_url"], third["image_url"]}) == 3
    kept = sorted((shop.services.options.data_dir / "images").iterdir())
    assert len(kept) == 2, "the picture before stays for shelves on their way, older ones go"


UNSAFE: list[tuple[str, bytes, int]] = [
    ("image/svg+xml", b"<svg/>", 415),
    ("text/html", b"<script>", 415),
    ("image/png", b"<script>", 422),
    ("image/jpeg", PNG, 422),
    ("image/png", b"", 422),
    ("image/png", PNG + bytes(1024 * 1024), 413),
]


async def test_what_is_no_safe_picture_is_refused(shop: Shop) -> None:
    """No scripts in disguise, nothing above 1 MiB."""
    product = await shop.product()
    merchant = shop.token("merchant", merchant="shop-a")
    path = f"/v1/products/{product['id']}/image"
    for media, data, status in UNSAFE:
        headers, body = {"Content-Type": media}, io.BytesIO(data)
        await shop.json("PUT", path, merchant, data=body, headers=headers, status=status)


async def test_readiness_names_what_does_not_answer(shop: Shop) -> None:
    """200 with all checks ok; 503 with the name of the one that is not, and never a traceback."""

    async def fine() -> None:
        return None

    async def broken() -> None:
        raise ConnectionError("secret details")

    shop.services.ready["sql"] = fine
    assert (await shop.json("GET", "/readyz"))["checks"] == {"sql": "ok"}
    shop.services.ready["bus"] = broken
    problem = await shop.json("GET", "/readyz", status=503)
    assert problem["checks"] == {"sql": "ok", "bus": "ConnectionError"}
