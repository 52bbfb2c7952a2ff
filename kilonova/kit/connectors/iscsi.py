"""Volumes behind an iSCSI target: QEMU's own initiator opens them, so there is nothing to do but to see who answers."""

import asyncio

from kilonova.kit.connectors.connections import IscsiConnection
from kilonova.kit.connectors.disk import ConnectedTarget
from kilonova.kit.host_commands import HostError

TIMEOUT_SECONDS = 5.0


async def connect(connection: IscsiConnection) -> ConnectedTarget:
    """Returns the target at the first portal that answers. Raises HostError when none does."""
    complaints = []
    for portal in connection.portals:
        host, port = read_portal(portal)
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                _reader, writer = await asyncio.open_connection(host, port)
            writer.close()
        except TimeoutError:
            complaints.append(f"{portal} does not answer within {TIMEOUT_SECONDS:.0f} seconds")
        except OSError as error:
            complaints.append(f"{portal}: {error.strerror or error}")
        else:
            return ConnectedTarget(
                host=host, port=port, target=connection.target, unit=connection.unit, chap=connection.chap
            )
    raise HostError(f"The target {connection.target} cannot be reached: {'; '.join(complaints) or 'it has no portal'}.")


def read_portal(portal: str) -> tuple[str, int]:
    """Returns the address and the port of `address:port`, or of `[address]:port`. Raises HostError."""
    host, _, port = portal.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise HostError(f"The portal {portal!r} is not ADDRESS:PORT.")
    return host.removeprefix("[").removesuffix("]"), int(port)
