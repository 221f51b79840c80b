"""
A merchant's server in one file: receives webhooks, verifies them, keeps each event once.

    pip install aiohttp standardwebhooks
    python examples/merchant_receiver.py --port 9000 --secret-file secret.txt

The secret file holds the `whsec_…` that was shown when the endpoint was made; one a line while a
secret is being rotated. It is read for every request, so that it may be filled or changed at any
time. POST to the printed URL delivers, GET shows what has arrived. Events go to a JSON Lines file.

What a receiver has to do is in `Inbox.receive`: verify before anything else, answer 2xx only when
the event is safely stored, and treat the same `webhook-id` as the same event.
"""

import argparse
import html
import json
import os
import signal
import socket
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

BODY_MAX = 256 * 1024  # bytes; webhooks are far smaller
SHOWN_MAX = 200  # events on the page and in memory; the file has them all
IDS_MAX = 100_000  # remembered ids; a repetition comes within days


class NotVerified(Exception):
    """Not from our shop, or not for us. Its text says why."""


class Inbox:
    """Verified events, each once, in the order of arrival."""

    def __init__(self, secret_file: Path, events_file: Path) -> None:
        self.secret_file = secret_file
        self.events_file = events_file
        self.ids: dict[str, None] = {}  # a set that remembers what is oldest
        self.newest: list[dict[str, Any]] = []
        if events_file.exists():
            self._load()

    def secrets(self) -> list[str]:
        """The current secrets, newest first; empty before the endpoint was made."""
        try:
            return self.secret_file.read_text(encoding="utf-8").split()
        except FileNotFoundError:
            return []

    def receive(self, headers: Mapping[str, str], body: bytes) -> bool:
        """
        Verify and keep one event; False if it was known already.

        Raises:
            NotVerified: It must not be acted on.
        """
        event = self.verify(headers, body)
        webhook_id = headers["webhook-id"]
        if webhook_id in self.ids:
            return False
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._append({"webhook_id": webhook_id, "received_at": now, **event})
        return True

    def verify(self, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        """The event of a genuine request."""
        reason = "no secret is known yet"
        for secret in self.secrets():
            try:
                event = Webhook(secret).verify(body, dict(headers))
            except (WebhookVerificationError, ValueError) as error:  # ValueError: no such format
                reason = str(error) or "the signature cannot be read"
                continue
            if isinstance(event, dict) and isinstance(event.get("type"), str):
                return event
            raise NotVerified("signed, but not an event")
        raise NotVerified(reason)

    def _load(self) -> None:
        """Remember what the file has. A line cut off by a crash was never answered: it goes."""
        whole = 0
        with self.events_file.open("r+b") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    file.truncate(whole)
                    break
                self._remember(json.loads(line))
                whole += len(line)

    def _append(self, entry: dict[str, Any]) -> None:
        """Safely on the disk before anybody is told that it arrived."""
        with self.events_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._remember(entry)

    def _remember(self, entry: dict[str, Any]) -> None:
        self.ids[entry["webhook_id"]] = None
        if len(self.ids) > IDS_MAX:
            del self.ids[next(iter(self.ids))]
        self.newest = [entry, *self.newest[: SHOWN_MAX - 1]]


def page(inbox: Inbox) -> str:
    """What arrived, the newest first, as plain HTML."""
    rows = "".join(
        "<tr>"
        + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells)
        + f"<td><pre>{html.escape(json.dumps(entry['data'], ensure_ascii=False))}</pre></td></tr>"
        for entry in inbox.newest
        for cells in [(entry["received_at"], entry["type"], entry["webhook_id"])]
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Received webhooks</title>'
        '<meta name="viewport" content="width=device-width"><meta http-equiv="refresh" content="5">'
        "<style>body{font:14px system-ui;margin:1rem}td,th{padding:.3rem .6rem;text-align:left;"
        "vertical-align:top}pre{margin:0;white-space:pre-wrap;overflow-wrap:anywhere}</style>"
        f"<h1>Verified events: {len(inbox.ids)}</h1><table><thead><tr><th>Received</th>"
        f"<th>Type</th><th>Id</th><th>Data</th></tr></thead><tbody>{rows}</tbody></table></html>"
    )


def build(inbox: Inbox) -> web.Application:
    """The server: POST delivers, GET shows."""

    async def deliver(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            new = inbox.receive(headers, await request.read())
        except NotVerified as error:
            return web.Response(status=400, text=f"Not accepted: {error}\n")
        return web.Response(text="Stored.\n" if new else "Known already.\n")

    async def show(_request: web.Request) -> web.Response:
        policy = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
        return web.Response(text=page(inbox), content_type="text/html", headers=policy)

    async def events(_request: web.Request) -> web.Response:
        return web.json_response({"count": len(inbox.ids), "newest": inbox.newest})

    app = web.Application(client_max_size=BODY_MAX)
    app.router.add_get("/events.json", events)
    app.router.add_post("/{path:.*}", deliver)
    app.router.add_get("/{path:.*}", show)
    return app


def end_with_stdin() -> None:
    """End this process when whoever started it is gone, however that ended."""

    def wait() -> None:
        while os.read(0, 4096):  # not sys.stdin, whose lock would hold up the exit
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    """Read the arguments, print the URL, serve until stopped."""
    parser = argparse.ArgumentParser(description="Receive and verify webhooks.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000, help="0: any free one, printed")
    parser.add_argument("--secret-file", type=Path, required=True, help="holds the whsec_… secret")
    parser.add_argument("--events", type=Path, default=Path("events.jsonl"))
    parser.add_argument("--end-with-stdin", action="store_true", help="stop when stdin is closed")
    options = parser.parse_args()

    inbox = Inbox(options.secret_file, options.events)
    listener = socket.create_server((options.host, options.port))
    print(f"Receiving webhooks on http://{options.host}:{listener.getsockname()[1]}/", flush=True)
    if options.end_with_stdin:
        end_with_stdin()
    web.run_app(build(inbox), sock=listener, print=None)


if __name__ == "__main__":
    main()
