"""What a guest wrote to its serial console, read on the host it runs on."""

import re

from kilonova.compute.agent.contract import CONSOLE_LOG, ConsoleLogArguments
from kilonova.compute.errors import ConsoleUnavailable
from kilonova.compute.service import Cell
from kilonova.compute.tables import Server
from kilonova.kit.agents import AgentUnreachable
from kilonova.kit.bus import RemoteError

_CONTROL_CHARACTERS = re.compile("[\x00-\x08\x0b-\x1f]")


async def read_output(cell: Cell, server: Server, length_lines: int | None) -> str:
    """The last `length_lines` lines, or all there are; control characters are left out. Raises ConsoleUnavailable."""
    if server.host is None:
        raise ConsoleUnavailable(server.id, "it is on no host yet")
    try:
        output = await cell.agents.call(server.host, CONSOLE_LOG, ConsoleLogArguments(server.id, length_lines))
    except (AgentUnreachable, RemoteError) as error:
        raise ConsoleUnavailable(server.id, str(error)) from error
    return _CONTROL_CHARACTERS.sub("", output)
