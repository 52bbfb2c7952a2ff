"""What tests and simulated clouds stand on: a clock that is turned by hand, in-process clients, the crash harness."""

from kilonova.kit.testing.clients import asgi_client
from kilonova.kit.testing.clock import FakeClock
from kilonova.kit.testing.crash import Crashed, CrashPlan, run_through, run_with_crash

__all__ = ["CrashPlan", "Crashed", "FakeClock", "asgi_client", "run_through", "run_with_crash"]
