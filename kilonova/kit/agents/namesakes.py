"""Two agents of one name: the one that is alive keeps it."""

from datetime import datetime

from kilonova.kit.agents.agent import AgentInfo
from kilonova.kit.agents.calls import agent_topic
from kilonova.kit.bus import Bus, CallTimedOut, RemoteError

NAMESAKE_SECONDS = 1.0
"""The time in which an agent of the same name has to answer."""


async def find_namesake(bus: Bus, info: AgentInfo) -> datetime | None:
    """Returns when another living agent of this name began; None when there is none.

    One that answers under the name and began at another time is another agent.
    """
    try:
        topic = agent_topic(info.binary, info.host)
        answer = await bus.call(topic, "ping", {"known": True}, timeout_seconds=NAMESAKE_SECONDS)
    except (CallTimedOut, RemoteError):
        return None
    began = datetime.fromisoformat(answer["started_at"])
    return None if began == info.started_at else began
