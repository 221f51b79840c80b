"""HTTP and the viewer socket on one port, and on one connection after the other."""

import json

import aiohttp

from loadtest.server import Server


async def test_a_kept_alive_connection_becomes_a_viewer_socket(demo: Server) -> None:
    """Three requests and then the upgrade, all on the same TCP connection, as proxies do it."""
    connector = aiohttp.TCPConnector(limit=1)
    async with aiohttp.ClientSession(connector=connector) as session:
        for _ in range(2):
            async with session.get(f"{demo.base}/livez") as answer:
                assert answer.status == 200
        async with session.post(f"{demo.base}/v1/session", json={"name": "Ada"}) as answer:
            token = (await answer.json())["token"]
        async with session.ws_connect(f"{demo.base}/connection/websocket") as socket:
            await socket.send_json({"id": 1, "connect": {"token": token}})
            reply = json.loads(await socket.receive_str(timeout=5))
            assert reply["connect"]["client"]
        async with session.get(f"{demo.base}/livez") as answer:
            assert answer.status == 200


async def test_the_crowd_of_the_demo_watches_and_talks(make_server: object) -> None:
    """`--crowd 5`: five viewers are counted, and their chat is in the history."""
    server = make_server("--demo", "--crowd", "5")  # type: ignore[operator]
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{server.base}/v1/session", json={}) as answer:
            token = (await answer.json())["token"]
        async with session.ws_connect(f"{server.base}/connection/websocket") as socket:
            await socket.send_json({"id": 1, "connect": {"token": token}})
            for name in ("room", "chat"):
                await socket.send_json({"id": 2, "subscribe": {"channel": f"{name}:demo"}})
            seen = ""
            while not ('"online":6' in seen and '"type":"chat"' in seen):
                seen += await socket.receive_str(timeout=30)
