"""Calls to QEMU's agent inside a guest; blocking, for a thread."""

from typing import Any

import libvirt

from kilonova.compute.agent.drivers.domains import running
from kilonova.kit.host_commands import HostError

SILENT = (libvirt.VIR_ERR_AGENT_UNRESPONSIVE, libvirt.VIR_ERR_AGENT_UNSYNCED)
WITHOUT_CHANNEL = (libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED, libvirt.VIR_ERR_CONFIG_UNSUPPORTED)


def set_password(connection: Any, server_id: str, user: str, password: str) -> None:
    """Raises HostError when the server has no guest, or its guest no agent that answers."""
    domain = running(connection, server_id)
    try:
        domain.setUserPassword(user, password, 0)
    except libvirt.libvirtError as error:
        code = error.get_error_code()
        if code in SILENT:
            raise HostError(
                "The QEMU guest agent does not answer: it has to be installed in the guest and running."
            ) from error
        if code in WITHOUT_CHANNEL:
            raise HostError(
                "The guest has no channel to a QEMU guest agent: its image has to say hw_qemu_guest_agent=yes."
            ) from error
        raise
