"""The options of all daemons: groups and names are those of upstream's files, with the old spellings.

Each option says what it does here. What files written for the guides hold beside them is in `without_effect.py`, with
the reason; anything else in a file stops the start.
"""

from collections.abc import Mapping, Sequence

from kilonova.cli.parts.options.block_storage import BLOCK_STORAGE, backend_sections
from kilonova.cli.parts.options.block_storage import QUOTAS as VOLUME_QUOTAS
from kilonova.cli.parts.options.compute import COMPUTE, QUOTAS
from kilonova.cli.parts.options.every_daemon import COMMON
from kilonova.cli.parts.options.identity import IDENTITY
from kilonova.cli.parts.options.image import IMAGE
from kilonova.cli.parts.options.network import NETWORK, NETWORK_AGENT
from kilonova.cli.parts.options.placement import PLACEMENT
from kilonova.cli.parts.options.scheduler import SCHEDULING
from kilonova.cli.parts.options.spelling import Options
from kilonova.cli.parts.options.up import UP

__all__ = [
    "BLOCK_STORAGE",
    "COMMON",
    "COMPUTE",
    "IDENTITY",
    "IMAGE",
    "NETWORK",
    "NETWORK_AGENT",
    "PLACEMENT",
    "PROJECTS",
    "QUOTAS",
    "SCHEDULING",
    "UP",
    "VOLUME_QUOTAS",
    "Options",
    "backend_sections",
]

PROJECTS: Mapping[str, Sequence[Options]] = {
    "keystone": [IDENTITY],
    "glance": [IMAGE],
    # In the releases where placement was a part of nova, its options stand in nova's file.
    "placement": [PLACEMENT, COMPUTE, SCHEDULING],
    "nova": [COMPUTE, SCHEDULING, PLACEMENT],
    "neutron": [NETWORK, NETWORK_AGENT],
    "cinder": [BLOCK_STORAGE],
}
"""A project's daemons share files: what one of them does not read may be another's."""
