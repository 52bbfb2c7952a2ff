"""The elements of libvirt's XML; pure."""

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot carry; a display name may hold them."""


def parse_xml(xml: str) -> Element:
    """An answer of libvirt, which is trusted, as elements."""
    return ElementTree.fromstring(xml)  # noqa: S314


def text(parent: Element, tag: str, content: str, **attributes: str) -> Element:
    element = SubElement(parent, tag, attributes)
    element.text = NOT_IN_XML.sub("", content)
    return element
