"""What HTTP counts: requests by route and status, how long they took, who was limited."""

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram

from liveserver.metrics import PREFIX

#: seconds: a read takes a millisecond, a purchase waits for a transaction
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class HttpMeters:
    """Counters of one process's HTTP. Without a registry they count for nobody, as in tests."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = registry or CollectorRegistry()
        self._requests = Counter(
            f"{PREFIX}_http_requests",
            "HTTP requests",
            ["method", "route", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            f"{PREFIX}_http_request_duration_seconds",
            "From a request's head to its answer, streams left out",
            buckets=SECONDS,
            registry=registry,
        )
        self._limited = Counter(
            f"{PREFIX}_http_requests_limited",
            "Requests refused by the limits per address",
            ["kind"],
            registry=registry,
        )

    def answered(self, request: web.Request, status: int, seconds: float) -> None:
        """Count one request. Routes are named as in the table, so that their number is bounded."""
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else "none"
        self._requests.labels(_method(request), route, str(status)).inc()
        self._seconds.observe(seconds)

    def limited(self, kind: str) -> None:
        """Count one refusal; `kind` is a row of `limits.RATES`."""
        self._limited.labels(kind).inc()


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _method(request: web.Request) -> str:
    return request.method if request.method in _METHODS else "other"
