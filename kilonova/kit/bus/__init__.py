"""Wake-ups and calls between processes. The bus carries no truth: whatever it loses is found again in the database."""

from kilonova.kit.bus.in_process import InProcessBus
from kilonova.kit.bus.interface import Bus, CallTimedOut, Handler, RemoteError, Unsubscribe

__all__ = ["Bus", "CallTimedOut", "Handler", "InProcessBus", "RemoteError", "Unsubscribe"]
