"""The secrets of volumes, which libvirt gives to QEMU; blocking functions for a thread, taking the connection first.

libvirt keeps them in memory alone and shows them to nobody, and QEMU gets them encrypted: they stand in no file and on
no command line. They are set before a guest gets its volume, for a libvirtd that was restarted has forgotten them.
"""

from typing import Any

import libvirt

from kilonova.compute.agent.drivers.domain_xml.secrets import render_secret, secret_id_of
from kilonova.kit.connectors import ConnectedTarget, Connection, IscsiConnection


def keep(connection: Any, targets: list[ConnectedTarget]) -> None:
    """Tells libvirt the secrets of targets; safe to repeat."""
    for each in targets:
        if each.chap is not None:
            connection.secretDefineXML(render_secret(each.target)).setValue(each.chap.secret.encode())


def forget(connection: Any, volume: Connection) -> None:
    """Takes a volume's secret back; ok when there is none."""
    if not isinstance(volume, IscsiConnection) or volume.chap is None:
        return
    try:
        connection.secretLookupByUUIDString(secret_id_of(volume.target)).undefine()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SECRET:
            raise
