"""The elements of libvirt's XML, and what an image says about them; pure."""

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from kilonova.compute.agent.spec import ServerSpec
from kilonova.kit.host_commands import HostError

NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot carry; a display name may hold them."""


def parse_xml(xml: str) -> Element:
    """An answer of libvirt, which is trusted, as elements."""
    return ElementTree.fromstring(xml)  # noqa: S314


def image_property(spec: ServerSpec, name: str, default: str) -> str:
    value = spec.image.properties.get(name) if spec.image else None
    return default if value is None or value == "" else str(value)


def chosen(spec: ServerSpec, name: str, allowed: tuple[str, ...], default: str) -> str:
    value = image_property(spec, name, default)
    if value not in allowed:
        raise HostError(f"The image property {name} is {value!r}; this host knows {', '.join(allowed)}.")
    return value


def text(parent: Element, tag: str, content: str, **attributes: str) -> Element:
    element = SubElement(parent, tag, attributes)
    element.text = NOT_IN_XML.sub("", content)
    return element
