"""What a worker hears from the bus and what its guard refuses, for whoever scrapes."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, Metric

from liveserver.metrics import PREFIX, Figures
from rooms.bus import Bus, Delivery, kind_of
from rooms.guard_service import Guard

#: seconds: from one turn of a quiet loop to what a viewer would not wait for
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


def watch_talk(registry: CollectorRegistry, bus: Bus, guard: Guard) -> None:
    """Measure every delivery, once for all its viewers, and have the refusals read."""
    lag = Histogram(
        f"{PREFIX}_node_delivery_lag_seconds",
        "From the numbering of a delivery on the bus to its arrival here, by both clocks",
        buckets=SECONDS,
        registry=registry,
    )

    received: Counter[str] = Counter()

    def arrived(delivery: Delivery) -> None:
        received.update(kind_of(delivery.topic, item.channel) for item in delivery.publications)
        if delivery.numbered_us:
            lag.observe(max(0.0, time.time() - delivery.numbered_us / 1e6))

    bus.on_delivery(arrived)
    registry.register(Figures(lambda: _figures(guard, bus.sent, received)))


def _figures(
    guard: Guard, sent: Mapping[str, int], received: Mapping[str, int]
) -> Iterable[Metric]:
    refused = CounterMetricFamily(
        f"{PREFIX}_guard_refused_messages",
        "Messages of viewers refused by the rules of their room, by reason",
        labels=["reason"],
    )
    for reason, count in guard.refused.items():
        refused.add_metric([reason], count)
    yield refused
    for name, doc, counts in (
        ("sent", "Messages that this process gave to the bus", sent),
        ("received", "Messages that the bus delivered to this process", received),
    ):
        family = CounterMetricFamily(f"{PREFIX}_node_messages_{name}_count", doc, labels=["type"])
        for kind, count in counts.items():
            family.add_metric([kind], count)
        yield family
