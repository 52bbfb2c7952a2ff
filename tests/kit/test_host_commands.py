"""Host commands end in their output or in a sentence."""

import pytest

from kilonova.kit import host_commands
from kilonova.kit.host_commands import HostError


async def test_commands_fail_with_a_sentence() -> None:
    assert await host_commands.run(["echo", "a b"], timeout_seconds=5) == "a b\n"
    with pytest.raises(HostError, match="no-such-command is not installed"):
        await host_commands.run(["no-such-command"], timeout_seconds=5)
    with pytest.raises(HostError, match=r"ls failed with status 2: .*No such file"):
        await host_commands.run(["ls", "/no/such/file"], timeout_seconds=5)
    with pytest.raises(HostError, match="sleep did not end within 0 seconds"):
        await host_commands.run(["sleep", "60"], timeout_seconds=0.05)
