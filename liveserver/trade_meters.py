"""What the writer, webhooks and HTTP count, read when somebody scrapes."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from liveserver.metrics import PREFIX, Figures
from orders.service import Writer
from orders.webhooks_service import Webhooks

WRITER_DOCS = {
    "batches": "Transactions of the writer",
    "requests": "Requests that the writer answered",
    "orders": "Orders that the writer made",
    "refusals": "Requests that the writer refused",
    "stock_memory_wrong_total": "Times that the database did not agree with the writer's memory",
    "takeovers": "Times that this process took the writer's lease",
}


def watch_trade(registry: CollectorRegistry, writer: Writer, webhooks: Webhooks) -> None:
    """Have the figures of the process that holds the writer read at each scrape."""
    registry.register(Figures(lambda: _figures(writer, webhooks)))


def _figures(writer: Writer, webhooks: Webhooks) -> Iterable[Metric]:
    for name in writer.counts.__struct_fields__:
        count = getattr(writer.counts, name)
        short = name.removesuffix("_total")
        yield CounterMetricFamily(
            f"{PREFIX}_writer_{short}", WRITER_DOCS.get(name, "Counted by the writer"), count
        )
    yield GaugeMetricFamily(
        f"{PREFIX}_writer_serving", "1 while this process is the writer", int(writer.is_serving)
    )
    yield GaugeMetricFamily(
        f"{PREFIX}_webhook_in_flight", "Webhook calls under way", webhooks.in_flight
    )
    yield GaugeMetricFamily(
        f"{PREFIX}_webhook_waiting",
        "Webhook deliveries that are not at their end, counted every 10 s up to 100,000",
        webhooks.waiting,
    )
    attempts = CounterMetricFamily(
        f"{PREFIX}_webhook_attempts",
        "Webhook calls by what became of the delivery: delivered, pending (again later), failed",
        labels=["state"],
    )
    for state, count in webhooks.attempts.items():
        attempts.add_metric([state], count)
    yield attempts
