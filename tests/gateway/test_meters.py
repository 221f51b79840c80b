"""The figures of the viewer socket count what really happened."""

from liveserver.metrics import OP
from tests.gateway.support import Place, connected, dialled
from tests.gateway.test_commands import subscription_tokens


async def test_commands_errors_and_closes_are_counted(place: Place, unique: str) -> None:
    """Each command by method, refusals with their code, closes with theirs."""
    async with connected(place, place.token("u")) as client:
        assert await client.error("subscribe", channel="nowhere:x") == 102
        token = subscription_tokens(place, unique)("u")
        await client.ok("subscribe", channel=unique, token=token)
        await client.ok("publish", channel=unique, data=1)
        await client.until(lambda: client.pubs(unique))
        assert place.figure("node_broadcast_duration_seconds_count") >= 1
        assert place.figure("transport_frames_sent_total") >= 1
        assert place.figure("transport_messages_sent_total", frame_type="push") >= 1
        assert place.figure("transport_messages_sent_total", frame_type="reply") >= 4
        assert place.figure("transport_messages_sent_size_total", frame_type="push") > 40
        assert place.figure("client_num_reply_errors_total", method="subscribe", code="102") == 1
        assert place.figure("client_command_duration_seconds_count", method="subscribe") == 2
        assert place.figure("client_command_duration_seconds_count", method="publish") == 1
        assert place.figure("node_num_clients") == 1
        assert place.figure("node_num_subscriptions") == 2
        assert place.figure("client_connections_inflight", transport="websocket") == 1
        assert place.figure("transport_received_bytes_total") > 100
        assert place.figure("transport_sent_bytes_total") > 100
    async with dialled(place) as client:
        await client.ws.send("rubbish")
        assert await client.until_closed() == (3501, "bad request")
        assert place.figure("client_num_server_disconnects_total", code="3501") == 1
        assert place.figure("transport_outgoing_close_count_total") == 1
    assert place.figure("client_connections_accepted_total", transport="websocket") == 2


async def test_recoveries_are_counted_by_result(open_place: Place, channel: str) -> None:
    """With and without publications, and those that cannot be had any more."""
    place = open_place
    await place.publish(f"kept:{channel}", 1)
    async with connected(place) as client:
        epoch = (await client.ok("subscribe", channel=f"kept:{channel}"))["epoch"]
    for offset, missed in ((0, "yes"), (1, "no")):
        async with connected(place) as client:
            since = {"recover": True, "offset": offset, "epoch": epoch}
            await client.ok("subscribe", channel=f"kept:{channel}", **since)
        labels = {"recovered": "yes", "has_recovered_publications": missed}
        assert place.figure("client_recover_total", **labels) == 1
    async with connected(place) as client:
        since = {"recover": True, "offset": 0, "epoch": "another"}
        await client.ok("subscribe", channel=f"kept:{channel}", **since)
    labels = {"recovered": "no", "has_recovered_publications": "no"}
    assert place.figure("client_recover_total", **labels) == 1


async def test_the_report_for_other_processes_holds_all_families(place: Place) -> None:
    """The report of a process is what the others get from it over the bus."""
    report = place.metrics.work[OP](b"")  # type: ignore[arg-type]
    names = {family.name for family in report.families}
    assert {
        "liveserver_client_ping_pong_duration_seconds",
        "liveserver_node_event_loop_lag_seconds",
    } <= names
