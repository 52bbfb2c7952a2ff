"""Support for tests and simulated clouds: a clock turned by hand, simulated metal, clients, the crash harness."""

from kilonova.kit.testing.clients import asgi_client
from kilonova.kit.testing.clock import FakeClock
from kilonova.kit.testing.crash import CallPlan, Crashed, CrashPlan, MortalCaller, run_through, run_with_crash
from kilonova.kit.testing.metal import Metal, SimulatedHost

__all__ = [
    "CallPlan",
    "CrashPlan",
    "Crashed",
    "FakeClock",
    "Metal",
    "MortalCaller",
    "SimulatedHost",
    "asgi_client",
    "run_through",
    "run_with_crash",
]
