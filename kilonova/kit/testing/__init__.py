"""What tests and simulated clouds stand on: a clock that is turned by hand, in-process clients, the crash harness."""

from kilonova.kit.testing.clients import asgi_client
from kilonova.kit.testing.clock import FakeClock
from kilonova.kit.testing.crash import CallPlan, Crashed, CrashPlan, MortalCaller, run_through, run_with_crash

__all__ = [
    "CallPlan",
    "CrashPlan",
    "Crashed",
    "FakeClock",
    "MortalCaller",
    "asgi_client",
    "run_through",
    "run_with_crash",
]
