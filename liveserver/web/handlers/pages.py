"""The pages, their files, and product pictures. Nothing outside of two folders is ever read."""

import asyncio
from pathlib import Path

from aiohttp import web

from liveserver.web import pictures
from liveserver.web.headers import FRAMED_BY
from liveserver.web.route import Call, Handler, Route

#: browsers ask again each time and get 304 with the ETag: a new version shows at once
REVALIDATE = "no-cache"
#: the name of a picture changes with its content
FOREVER = "public, max-age=31536000, immutable"

#: what is below these is told programs alone
FOR_PROGRAMS = ("/v1/", "/api/", "/static/")

#: modules that pages of shops load
EMBED_FOLDER = "js/embed/"

TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain",
    ".webmanifest": "application/manifest+json",
    ".mp3": "audio/mpeg",
}


def page(name: str) -> Handler:
    """A handler that serves one page of the static folder."""

    async def serve(call: Call) -> web.StreamResponse:
        return await _file(call.services.options.static_dir, name, REVALIDATE)

    return serve


async def embedded_room(call: Call) -> web.StreamResponse:
    """The room for the pages of EMBED_ORIGINS: the one page that may be shown in a frame."""
    options = call.services.options
    response = await _file(options.static_dir, "room.html", REVALIDATE)
    response[FRAMED_BY] = options.embed_origins
    return response


async def nowhere(request: web.Request, static_dir: Path) -> web.StreamResponse | None:
    """The page for people who came to an address where nothing is; None for programs."""
    looks = request.method == "GET" and "text/html" in request.headers.get("Accept", "")
    if not looks or request.path.startswith(FOR_PROGRAMS):
        return None
    path = static_dir / "nowhere.html"
    text = await asyncio.to_thread(path.read_text, encoding="utf-8")
    return web.Response(status=404, text=text, content_type="text/html", charset="utf-8")


async def static_file(call: Call) -> web.StreamResponse:
    """A file under `static/`, and only there."""
    name = call.request.match_info["file"]
    response = await _file(call.services.options.static_dir, name, REVALIDATE)
    if name.startswith(EMBED_FOLDER):  # a module of another site is fetched by CORS
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response


async def picture(call: Call) -> web.StreamResponse:
    """An uploaded product picture."""
    name = call.params["name"]
    if not pictures.NAME.fullmatch(name):
        raise web.HTTPNotFound
    return await _file(call.services.options.data_dir / pictures.FOLDER, name, FOREVER)


async def _file(folder: Path, name: str, caching: str) -> web.StreamResponse:
    path = await asyncio.to_thread(_inside, folder, name)
    if path is None:
        raise web.HTTPNotFound
    media = TYPES[path.suffix]
    text = media.startswith("text/") or media == "application/json"
    response = web.FileResponse(path)  # answers If-None-Match and Range by itself
    response.content_type = media
    if text:
        response.charset = "utf-8"
    response.headers["Cache-Control"] = caching
    return response


def _inside(folder: Path, name: str) -> Path | None:
    """The file of this name under `folder`, links resolved; None for all else."""
    parts = name.split("/")
    if "\x00" in name or "\\" in name or any(part in ("", ".", "..") for part in parts):
        return None
    if any(part.startswith(".") for part in parts):
        return None
    root = folder.resolve()
    try:
        path = root.joinpath(*parts).resolve()
        found = path.is_relative_to(root) and path.suffix in TYPES and path.is_file()
    except OSError:  # a name that no file system takes
        return None
    return path if found else None


PAGES = {
    "/": "lobby.html",
    "/rooms/{room}": "room.html",
    "/orders": "orders.html",
    "/console/{room}": "console.html",
    "/merchant": "merchant.html",
    "/setup": "setup.html",
    "/login": "login.html",
    "/shows/{show}": "show.html",
    "/overlay/card/{room}": "overlay.html",
    "/overlay/chat/{room}": "overlay.html",
    "/overlay/countdown/{room}": "overlay.html",
}

ROUTES = [
    Route(
        method="GET",
        path="/embed/{room}",
        action="page.read",
        handler=embedded_room,
        summary="A room in the page of a shop",
        tag="pages",
        media="text/html",
        limit="none",
        documented=False,
    ),
    *(
        Route(
            method="GET",
            path=path,
            action="page.read",
            handler=page(name),
            summary=f"The page {name}",
            tag="pages",
            media="text/html",
            limit="none",
            documented=False,
        )
        for path, name in PAGES.items()
    ),
    Route(
        method="GET",
        path="/static/{file:.+}",
        action="page.read",
        handler=static_file,
        summary="A file of the pages",
        tag="pages",
        limit="none",
        documented=False,
    ),
    Route(
        method="GET",
        path=pictures.PREFIX + "{name}",
        action="page.read",
        handler=picture,
        summary="An uploaded picture",
        tag="pages",
        limit="none",
        documented=False,
    ),
]
