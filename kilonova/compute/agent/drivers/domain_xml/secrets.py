"""The secrets of volumes in libvirt's words; pure."""

import uuid
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from kilonova.compute.agent.drivers.domain_xml.elements import text


def secret_id_of(target: str) -> str:
    """Returns the id under which libvirt has the secret of an iSCSI target."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, target))


def render_secret(target: str) -> str:
    """Returns the definition of a target's secret, which stands in no file and is shown to nobody."""
    secret = Element("secret", ephemeral="yes", private="yes")
    text(secret, "uuid", secret_id_of(target))
    text(SubElement(secret, "usage", type="iscsi"), "target", target)
    return ElementTree.tostring(secret, encoding="unicode")
