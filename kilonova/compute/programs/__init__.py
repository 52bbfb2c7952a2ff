"""Every operation on a server that takes more than one step, in reading order in its own file."""

from collections.abc import Mapping
from typing import Any

from kilonova.compute.programs.build import BUILD
from kilonova.compute.programs.destroy import DESTROY
from kilonova.compute.programs.evacuate import EVACUATE
from kilonova.compute.programs.interfaces import INJECT_NETWORK, INTERFACES
from kilonova.compute.programs.live_migrate import LIVE_MIGRATE
from kilonova.compute.programs.power import POWER
from kilonova.compute.programs.rebuild import REBUILD
from kilonova.compute.programs.resize import RESIZING
from kilonova.compute.programs.shelving import SHELVING
from kilonova.compute.programs.snapshot import SNAPSHOTS
from kilonova.compute.programs.volume_attachments import ATTACH_VOLUME, DETACH_VOLUME
from kilonova.compute.service import Cell
from kilonova.kit.tasks import Program

_ALL: tuple[Program[Cell, Any], ...] = (
    BUILD,
    DESTROY,
    *POWER.values(),
    *INTERFACES,
    ATTACH_VOLUME,
    DETACH_VOLUME,
    *SNAPSHOTS,
    REBUILD,
    *SHELVING,
    INJECT_NETWORK,
    LIVE_MIGRATE,
    EVACUATE,
    *RESIZING,
)
PROGRAMS: Mapping[str, Program[Cell, Any]] = {each.name: each for each in _ALL}
