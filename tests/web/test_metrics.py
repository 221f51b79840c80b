"""`/metrics`: who may read it, and that Prometheus can."""

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from liveserver.addresses import parse_networks
from liveserver.metrics import Family, Report, Sample, render
from tests.web.shop import API_KEY, Shop, open_shop

ELSEWHERE = {"X-Forwarded-For": "203.0.113.9"}  # as a proxy on this machine tells it


def test_processes_share_a_metric_and_differ_in_a_label() -> None:
    """One HELP and TYPE a metric, one sample a process; odd label values are escaped."""

    def report(worker: str, count: float) -> Report:
        odd = Sample("x_total", {"why": 'a "b"\n'}, count)
        return Report("n", worker, [Family("x", "Some x", "counter", [odd])])

    text = render([report("one", 1.0), report("two", 2.0)]).decode()
    assert (text.count("# TYPE"), text.count("# HELP x_total Some x")) == (1, 1)
    [family] = text_string_to_metric_families(text)
    assert [(one.labels, one.value) for one in family.samples] == [
        ({"worker": "one", "why": 'a "b"\n'}, 1.0),
        ({"worker": "two", "why": 'a "b"\n'}, 2.0),
    ]


async def test_a_scrape_holds_the_figures_of_every_part(shop: Shop) -> None:
    """HTTP by route, the writer's counts, webhooks, connections, the process itself."""
    async with shop.call("GET", "/v1/products/nothing") as answer:
        assert answer.status == 404
    admin = shop.token("admin")
    async with shop.call("GET", "/metrics", admin) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        text = await answer.text()
    families = {one.name: one for one in text_string_to_metric_families(text)}
    assert families.keys() >= {
        "liveserver_node_num_clients",
        "liveserver_node_event_loop_lag_seconds",
        "liveserver_writer_batches",
        "liveserver_writer_stock_memory_wrong",
        "liveserver_webhook_waiting",
        "liveserver_process_resident_memory_bytes",
    }
    requests = {
        (one.labels["route"], one.labels["status"]): one.value
        for one in families["liveserver_http_requests"].samples
    }
    assert requests["/v1/products/{product}", "404"] == 1
    assert all(one.labels["worker"] for family in families.values() for one in family.samples)


async def test_strangers_do_not_read_the_figures(
    sqlite_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Near by itself: yes. Through a proxy: only an admin, or the key in either header."""
    networks = parse_networks(["127.0.0.0/8"])
    async with open_shop(
        sqlite_url, redis_url, tmp_path / "data", metrics_allowed=networks
    ) as shop:
        for headers, token, status in (
            ({}, None, 200),
            (ELSEWHERE, None, 401),
            (ELSEWHERE, shop.token("viewer"), 403),
            (ELSEWHERE, shop.token("merchant", merchant="shop-a"), 403),
            (ELSEWHERE, shop.token("admin"), 200),
            ({**ELSEWHERE, "X-API-Key": API_KEY}, None, 200),
            ({**ELSEWHERE, "Authorization": f"Bearer {API_KEY}"}, None, 200),
            ({**ELSEWHERE, "X-API-Key": "wrong"}, None, 401),
            ({**ELSEWHERE, "Authorization": "Bearer wrong"}, None, 401),
        ):
            async with shop.call("GET", "/metrics", token, headers=headers) as answer:
                assert answer.status == status, (headers, await answer.text())
