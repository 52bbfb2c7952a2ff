"""The agent kit: a process on a host that registers, answers whether it lives, and converges.

Agents never touch a database (design §1). What they serve is reached over the bus under `<binary>.<host>`.
"""

from kilonova.kit.agents.agent import Agent, AgentInfo, AgentRefused, Pace
from kilonova.kit.agents.calls import AgentCalls, AgentUnreachable, Call, NoArguments, Served
from kilonova.kit.agents.jobs import Job, Jobs
from kilonova.kit.agents.liveness import AgentKey, Liveness
from kilonova.kit.agents.turns import Turns

__all__ = [
    "Agent",
    "AgentCalls",
    "AgentInfo",
    "AgentKey",
    "AgentRefused",
    "AgentUnreachable",
    "Call",
    "Job",
    "Jobs",
    "Liveness",
    "NoArguments",
    "Pace",
    "Served",
    "Turns",
]
