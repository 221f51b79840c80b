"""
A shop that shows a live room in its page, in one folder: a static site with the headers it needs.

    python examples/embed/serve.py --live http://127.0.0.1:8000 --port 8100

The live server has to list this shop: `LIVESERVER_EMBED_ORIGINS=http://localhost:8100`. Open the
printed address. Any web server can serve the other files as they are, with the address of the live
server in place of `{live}`.
"""

import argparse
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
#: all that a strict policy has to allow: the module and the frame of the live server
POLICY = "default-src 'self'; script-src 'self' {live}; frame-src {live}"


class Storefront(ThreadingHTTPServer):
    """Serves this folder; `live` is the live server's origin."""

    daemon_threads = True

    def __init__(self, port: int = 0, live: str = "") -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.live = live

    @property
    def origin(self) -> str:
        """Its address, with a name that is another site than 127.0.0.1 to browsers."""
        return f"http://localhost:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Storefront

    def do_GET(self) -> None:  # the name that http.server asks for
        name = self.path.partition("?")[0].lstrip("/") or "index.html"
        if name not in {path.name for path in FOLDER.iterdir() if path.suffix in TYPES}:
            self.send_error(404)
            return
        text = (FOLDER / name).read_text(encoding="utf-8")
        body = text.replace("{live}", self.server.live).encode()
        self.send_response(200)
        self.send_header("Content-Type", f"{TYPES[Path(name).suffix]}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY.replace("{live}", self.server.live))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: the page itself shows what happens."""


def main() -> None:
    parser = argparse.ArgumentParser(description="A shop with a live room in its page.")
    parser.add_argument("--live", default="http://127.0.0.1:8000", help="the live server")
    parser.add_argument("--port", type=int, default=8100)
    given = parser.parse_args()
    with Storefront(given.port, given.live.rstrip("/")) as shop:
        print(f"ready {shop.origin}", flush=True)
        with suppress(KeyboardInterrupt):
            shop.serve_forever()


if __name__ == "__main__":
    main()
