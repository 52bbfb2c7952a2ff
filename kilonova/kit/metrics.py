"""Counters and measurements of a process, in the OpenMetrics format where `[metrics] port` is set.

Counters of one process: whoever collects them adds them up. Labels have few values: a route, never an id.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, make_asgi_app
from starlette.types import ASGIApp

# When each series began is of no use, and doubles the answer.
disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()

_QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_SLOW = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 1800)

requests = Counter(
    "kilonova_http_requests",
    "Requests answered; route is the path as the API reference writes it.",
    ("service", "method", "route", "status"),
    registry=REGISTRY,
)
request_seconds = Histogram(
    "kilonova_http_request_seconds",
    "From a request's arrival to the last byte of its answer.",
    ("service", "method"),
    buckets=_QUICK,
    registry=REGISTRY,
)
steps = Counter(
    "kilonova_task_steps",
    "Steps of operations that were run; outcome: next, sleep, done, fail, retry, handed_over.",
    ("program", "step", "outcome"),
    registry=REGISTRY,
)
step_seconds = Histogram(
    "kilonova_task_step_seconds",
    "What one run of a step took.",
    ("program", "step"),
    buckets=_SLOW,
    registry=REGISTRY,
)
deadlines_missed = Counter(
    "kilonova_task_deadlines_missed",
    "Operations that were not finished in the time they had.",
    ("program",),
    registry=REGISTRY,
)
loop_lag_seconds = Histogram(
    "kilonova_loop_lag_seconds",
    "How long the event loop was held, measured ten times a second.",
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5),
    registry=REGISTRY,
)
agent_alive = Gauge(
    "kilonova_agent_alive",
    "1 when the agent answered the last questions, else 0.",
    ("binary", "host"),
    registry=REGISTRY,
)
agent_clock_skew_seconds = Gauge(
    "kilonova_agent_clock_skew_seconds",
    "How far the agent's clock was ahead of this process's at its last answer.",
    ("binary", "host"),
    registry=REGISTRY,
)


def make_metrics_app() -> ASGIApp:
    """Answers every GET with all of it."""
    app: ASGIApp = make_asgi_app(REGISTRY)
    return app
