"""
What this server counts, in the Prometheus text format, over all of its processes.

Each process keeps its own figures in a registry of the Prometheus client library. Whichever process
is asked at `/metrics` asks the others over the bus and answers for all, each sample with the label
`worker`: with several workers behind one port a scrape would otherwise meet one of them by chance.
While the bus does not answer, the figures are those of the asked process alone.
"""

import logging
from collections.abc import Callable, Iterable

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from liveserver.control import Control, Work
from rooms.errors import Refusal

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
OP = "metrics"  # its name among the questions of workers to each other
PREFIX = "liveserver"

log = logging.getLogger(__name__)


class Sample(msgspec.Struct, array_like=True):
    name: str
    labels: dict[str, str]
    value: float


class Family(msgspec.Struct, array_like=True):
    """One metric with all of its samples."""

    name: str
    doc: str
    kind: str
    samples: list[Sample]


class Report(msgspec.Struct):
    """The figures of one process."""

    node: str
    worker: str
    families: list[Family]


class Metrics:
    """
    The registry of this process. `worker` names it in the samples, the same after each restart;
    `control` leads to the other processes once it is there.
    """

    def __init__(self, node: str, worker: str) -> None:
        self.registry = CollectorRegistry()
        self.control: Control | None = None
        self._node = node
        self._worker = worker
        ProcessCollector(namespace=PREFIX, registry=self.registry)
        self.registry.register(Figures(self._nodes))

    @property
    def work(self) -> dict[str, Work]:
        """What this process answers when another one is asked."""
        return {OP: lambda body: self.report()}

    def report(self) -> Report:
        """What this process counted, now."""
        return Report(self._node, self._worker, list(map(_family, self.registry.collect())))

    def _nodes(self) -> Iterable[Metric]:
        if self.control is not None:
            doc = "Processes with connections that this one heard of lately"
            yield GaugeMetricFamily(f"{PREFIX}_node_num_nodes", doc, len(self.control.nodes()))

    async def scrape(self) -> bytes:
        """The figures of all processes as text."""
        reports = [self.report()]
        if self.control is not None and self.control.has_others:
            try:
                answers = await self.control.ask(OP, None, everyone=True)
            except Refusal as problem:
                log.warning("metrics of this process alone: %s", problem)
            else:
                others = (msgspec.json.decode(answer, type=Report) for answer in answers)
                reports += [report for report in others if report.node != self._node]
        return render(reports)


def render(reports: Iterable[Report]) -> bytes:
    """The text format, version 0.0.4: each metric once, with the samples of all processes."""
    metrics: dict[str, Metric] = {}
    for report in reports:
        for family in report.families:
            metric = metrics.get(family.name)
            if metric is None:
                metric = metrics[family.name] = Metric(family.name, family.doc, family.kind)
            for one in family.samples:
                metric.add_sample(one.name, {"worker": report.worker, **one.labels}, one.value)
    return generate_latest(Figures(metrics.values))


def _family(metric: Metric) -> Family:
    samples = [
        Sample(one.name, one.labels, one.value)
        for one in metric.samples
        if not one.name.endswith("_created")  # when a series began, which this format cannot say
    ]
    return Family(metric.name, metric.documentation, metric.type, samples)


class Figures(Collector):
    """A collector of figures that something else keeps: `read` is called at each scrape."""

    def __init__(self, read: Callable[[], Iterable[Metric]]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        return self._read()
