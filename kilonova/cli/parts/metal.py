"""The simulated hosts that the agents of one process share."""

from typing import TYPE_CHECKING

from kilonova.cli.grounds.ground import Ground

if TYPE_CHECKING:
    from kilonova.kit.testing.metal import SimulatedHost


async def simulated_host(ground: Ground, host: str) -> "SimulatedHost | None":
    """Where the agents of a host see each other's taps; None where they are in processes of their own."""
    if not ground.is_alone:
        return None
    # Nothing of the test kit is loaded where hosts are real.
    from kilonova.kit.testing.metal import Metal

    async def make() -> Metal:
        return Metal()

    return (await ground.shared("metal", make))[host]
