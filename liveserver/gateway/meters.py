"""
What the viewer socket counts. Names follow Centrifugo's where it has the same figure.

Nothing here is touched for each viewer of a fan-out: what happens there is counted once a frame by
the hub as plain numbers, which are read when somebody scrapes.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from liveserver.metrics import PREFIX, Figures

if TYPE_CHECKING:
    from liveserver.gateway.gateway import Gateway
    from liveserver.gateway.remote import Remote
    from rooms.fanout import Job

#: seconds: from a fraction of a tick to what an SDK gives up at
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Children(dict[tuple[str, ...], Counter]):
    """The children of a metric by their labels: looking one up in the library takes a lock."""

    def __init__(self, metric: Counter) -> None:
        self._metric = metric

    def __missing__(self, labels: tuple[str, ...]) -> Counter:
        child: Counter = self._metric.labels(*labels)
        self[labels] = child
        return child


class Durations:
    """
    A histogram as plain numbers, which every command can afford: the library's takes two locks and
    walks through the buckets, a microsecond.
    """

    def __init__(self) -> None:
        self._counts = [0] * (len(SECONDS) + 1)  # up to each bound, and above all
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(SECONDS, seconds)] += 1
        self._sum += seconds

    def add_to(self, family: HistogramMetricFamily, *labels: str) -> None:
        """Put the figures into a scrape."""
        bounds = [*map(str, SECONDS), "+Inf"]
        buckets = list(zip(bounds, accumulate(self._counts), strict=True))
        family.add_metric(labels, buckets, self._sum)


class Meters:
    """Counters of one gateway. Without a registry they count for nobody, as in tests."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = registry or CollectorRegistry()
        self.registry = registry

        def histogram(name: str, doc: str, *labels: str) -> Histogram:
            return Histogram(f"{PREFIX}_{name}", doc, labels, buckets=SECONDS, registry=registry)

        def counter(name: str, doc: str, *labels: str) -> Counter:
            return Counter(f"{PREFIX}_{name}", doc, labels, registry=registry)

        self.broadcast = histogram(
            "node_broadcast_duration_seconds",
            "From a delivery of the bus, its tick included, to its last write to a viewer here",
        )
        self.bus_lag = histogram(
            "node_pub_sub_lag_seconds",
            "A message of this worker to itself through the bus, measured every few seconds",
        )
        self.loop_lag = histogram(
            "node_event_loop_lag_seconds",
            "How much later than asked for the event loop called a timer",
        )
        self.commands: defaultdict[str, Durations] = defaultdict(Durations)  # by method
        registry.register(Figures(self._command_figures))
        self.ping_pong = histogram(
            "client_ping_pong_duration_seconds", "From a ping to the client's pong"
        )
        self.errors = Children(
            counter("client_num_reply_errors", "Commands answered with an error", "method", "code")
        )
        self.unsubscribes = counter(
            "client_num_server_unsubscribes", "Subscriptions ended by the server", "code"
        )
        self.recoveries = counter(
            "client_recover",
            "Subscriptions that asked for what they missed",
            "recovered",
            "has_recovered_publications",
        )
        self.accepted = counter(
            "client_connections_accepted", "Connections that passed the handshake", "transport"
        )
        self.refused = counter(
            "client_connections_refused", "Handshakes refused, by HTTP status", "status"
        )

        self.frames_out = 0  # of channels, one for each viewer
        self.messages_out = 0  # in these
        self.frame_bytes_out = 0

    def frame(self, seconds: float, job: "Job") -> None:
        """Count one frame of a topic: how long its oldest part was here, to how many it went."""
        self.broadcast.observe(seconds)
        self.frames_out += job.frames
        self.messages_out += job.messages
        self.frame_bytes_out += job.bytes

    def _command_figures(self) -> Iterable[Metric]:
        doc = "From a command's turn to its answer; a publication's includes its tick"
        name = f"{PREFIX}_client_command_duration_seconds"
        family = HistogramMetricFamily(name, doc, labels=["method"])
        for method, durations in self.commands.items():
            durations.add_to(family, method)
        yield family

    def recovered(self, recovered: bool, publications: int) -> None:
        """Count one recovery by its result."""
        self.recoveries.labels(_yes(recovered), _yes(publications > 0)).inc()

    def watch(self, gateway: "Gateway", remote: "Remote") -> None:
        """Have the figures of the connections and the hub read at each scrape."""
        self.registry.register(Figures(lambda: _figures(gateway, remote)))


def _yes(true: bool) -> str:
    return "yes" if true else "no"


def _figures(gateway: "Gateway", remote: "Remote") -> Iterable[Metric]:
    status, hub = remote.status(), gateway.hub
    yield _gauge("node_num_clients", "Connected clients", status.num_clients)
    yield _gauge("node_num_users", "Users with a connected client here", status.num_users)
    yield _gauge("node_num_subscriptions", "Subscriptions of the clients here", status.num_subs)
    yield _gauge("node_num_channels", "Channels with a subscriber here", status.num_channels)
    yield _gauge("node_uptime_seconds", "Since the start of this process", status.uptime)
    inflight = GaugeMetricFamily(
        f"{PREFIX}_client_connections_inflight", "Open connections", labels=["transport"]
    )
    for transport, count in gateway.count_open().items():
        inflight.add_metric([transport], count)
    yield inflight
    disconnects = CounterMetricFamily(
        f"{PREFIX}_client_num_server_disconnects",
        "Connections closed by the server",
        labels=["code"],
    )
    for code, count in gateway.closes.items():
        disconnects.add_metric([str(code)], count)
    yield disconnects
    yield _counter("transport_received_bytes", "Received from clients", gateway.bytes_in)
    meters = gateway.meters
    sent = gateway.bytes_out + meters.frame_bytes_out
    yield _counter("transport_sent_bytes", "Sent to clients, pings left out", sent)
    yield _counter(
        "transport_frames_sent", "Frames of channels written to viewers", meters.frames_out
    )
    yield _by_kind(
        "transport_messages_sent",
        "Messages to clients: pushes of channels, and what is for one client alone",
        push=meters.messages_out,
        reply=gateway.messages_out,
    )
    yield _by_kind(
        "transport_messages_sent_size",
        "The same in bytes of finished frames",
        push=meters.frame_bytes_out,
        reply=gateway.bytes_out,
    )
    yield _counter("transport_outgoing_close_count", "Ends told to clients", gateway.closes.total())
    dropped = CounterMetricFamily(
        f"{PREFIX}_node_dropped_messages",
        "Messages of viewers that not everybody got, by reason",
        labels=["reason"],
    )
    for reason, count in gateway.rooms.drops.items():
        dropped.add_metric([reason], count)
    dropped.add_metric(["slow_viewer"], gateway.frames_skipped)
    yield dropped
    yield _counter(
        "node_client_connection_limit",
        "Connections sent away because too many came at once",
        gateway.admission.refused,
    )
    yield _counter("hub_gaps_filled", "Gaps of a channel filled from history", hub.gaps_filled)


def _by_kind(name: str, doc: str, **counts: int) -> Metric:
    family = CounterMetricFamily(f"{PREFIX}_{name}", doc, labels=["frame_type"])
    for kind, count in counts.items():
        family.add_metric([kind], count)
    return family


def _gauge(name: str, doc: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}_{name}", doc, value)


def _counter(name: str, doc: str, value: float) -> Metric:
    return CounterMetricFamily(f"{PREFIX}_{name}", doc, value)
