"""Parts of the control plane that say themselves that they are there, and are listed as services since.

The rule: a row says that there is, or was, such a daemon; whether it lives is asked of it, as of any agent. Every `tx`
here is of the API database.
"""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from kilonova.compute.tables import ControlDaemon, control_daemons
from kilonova.compute.transactions import RegionTx
from kilonova.kit.agents.calls import agent_topic
from kilonova.kit.bus import Bus, Unsubscribe


def id_of(binary: str, host: str) -> str:
    """The same at every start."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{binary}.{host}"))


async def register(tx: RegionTx, binary: str, host: str, now: datetime) -> None:
    """Safe to repeat."""
    await tx.insert_new(control_daemons, ControlDaemon(id_of(binary, host), binary, host, now))


def answer(bus: Bus, binary: str, host: str) -> Unsubscribe:
    """Lets the daemon answer that it lives; returns what ends that."""
    began = datetime.now(UTC).isoformat()

    async def ping(_payload: Any) -> Mapping[str, str]:
        return {"now": datetime.now(UTC).isoformat(), "started_at": began}

    return bus.serve(agent_topic(binary, host), {"ping": ping})


async def list_all(tx: RegionTx) -> list[ControlDaemon]:
    table = control_daemons.c
    return await tx.all(ControlDaemon, select(control_daemons).order_by(table.binary, table.host))


async def remove(tx: RegionTx, daemon_id: str) -> None:
    await tx.remove(control_daemons, id=daemon_id)
