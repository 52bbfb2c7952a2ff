"""What compute asks of a host: one protocol, driven by `agent`, implemented by the drivers `libvirt` and `fake`.

The one rule: a call says how things should be, never what to do; the driver looks at what the host really has and
closes the difference. Every call may be repeated at any time, in any order, after any crash.
"""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Protocol

from kilonova.compute.agent.spec import (
    Arrival,
    ConsoleAddress,
    ConsoleKind,
    HostInventory,
    ServerDiagnostics,
    ServerObservation,
    ServerSpec,
    SnapshotObservation,
    SnapshotSpec,
    SpecImage,
)
from kilonova.kit.host_commands import HostError

InspectImage = Callable[[Path, str], int | None]
"""Given a downloaded file and its declared disk format, the virtual size in bytes (None when the format tells none).
Raises ValueError with the reason when the file must not be used."""

OnEvent = Callable[[str], None]
"""Called on the loop with the id of a server whose domain has changed state, or whose background work has ended. A
hint to look, no more: it may name a domain that is not ours, and a hypervisor that restarts may lose some."""


class ConsoleNotOffered(HostError):
    """The host gives its guests no console of that kind, whatever state they are in."""


class StaleEpoch(Exception):
    """The caller's claim on the server is older than one this host has already obeyed; it must do nothing more."""

    def __init__(self, server_id: str, epoch: int, recorded: int) -> None:
        super().__init__(f"Epoch {epoch} for server {server_id} is older than {recorded}, which this host has seen.")
        self.server_id = server_id
        self.epoch = epoch
        self.recorded = recorded


class ComputeDriver(Protocol):
    """One hypervisor on one host. All calls are safe to repeat and raise HostError with a reason."""

    async def ensure_server(self, spec: ServerSpec, epoch: int) -> ServerObservation:
        """Closes the difference between the spec and the host: image, disks, config drive, domain, power state.

        Long work (download, shutdown of a guest) goes on in the background: the call returns at once with `progress`,
        and later calls find it running or finished. Raises StaleEpoch when a newer epoch is recorded for the server,
        HostError when the host cannot be brought there, also for background work that has failed since the last call
        (the call after that tries again).

        A server that is incoming gets its disks and no guest; the answer has `arrival` once a guest can come. With
        `disks_from` it gets the other host's disks, and the answer has no `progress` once they are all here. Of one
        that is leaving nothing is changed. The guest of one that is offering is ended; the answer has `offer` once its
        disks can be copied.
        """
        ...

    async def ensure_migration(
        self, spec: ServerSpec, arrival: Arrival, epoch: int, *, hasten: bool = False
    ) -> ServerObservation:
        """Moves the guest of a server that is leaving to the host that has answered `arrival`, while it runs.

        `hasten`: the guest pauses until it has moved, so that nothing has to be copied again.

        Its memory and the disks in its directory are copied. The call returns at once with `progress`; later calls find
        the migration under way, also when another agent has begun it, or done: then `power` is absent. Raises
        StaleEpoch, and HostError when the migration has failed since the last call; the guest then goes on here, and
        the call after that tries again.
        """
        ...

    async def stop_migration(self, server_id: str, epoch: int) -> ServerObservation:
        """Ends the migration that takes a server's guest away, if one is under way, and returns what is here then.

        Afterwards none is under way: a guest that is here stays, and one that has left is `absent`. Raises StaleEpoch,
        and HostError when the migration can neither be ended nor comes to its end.
        """
        ...

    async def ensure_snapshot(self, spec: SnapshotSpec, epoch: int) -> SnapshotObservation:
        """Copies the server's root disk as it is in one moment, also under a running guest, and uploads the copy.

        The call returns at once with `progress`; later calls find the work under way, the copying also when another
        agent has begun it. A copy goes with its server, or when the server is next brought to what it should be.
        Raises StaleEpoch, and HostError when the work has failed since the last call; the guest goes on in any case.
        """
        ...

    async def observe_server(self, server_id: str) -> ServerObservation:
        """What the host has for this id; `absent` when nothing."""
        ...

    async def observe_all(self) -> list[ServerObservation]:
        """Every server this host has anything of: a domain of ours or an instance directory."""
        ...

    async def release_server(self, server_id: str, epoch: int) -> None:
        """Ends background work, destroys and undefines the domain, removes the instance directory.

        Ok when nothing is there. Raises StaleEpoch like `ensure_server`; afterwards older epochs are refused for this
        id as long as the process lives.
        """
        ...

    async def console_log(self, server_id: str, length_lines: int | None) -> str:
        """The last lines the guest wrote to its serial console (None: all that is kept), also while it is stopped."""
        ...

    async def interrupt(self, server_id: str) -> None:
        """Gives the guest an interrupt that cannot be masked. Raises HostError when the server has no guest."""
        ...

    async def set_admin_password(self, server_id: str, user: str, password: str) -> None:
        """Sets a password inside the guest, through its agent.

        Raises HostError when the server has no guest, when the guest has no agent that answers, and with what the
        agent says against it.
        """
        ...

    async def diagnostics(self, server_id: str) -> ServerDiagnostics:
        """What the guest uses just now. Raises HostError when the server has none."""
        ...

    async def console_address(self, server_id: str, kind: ConsoleKind) -> ConsoleAddress:
        """Where the guest's console is just now. Raises ConsoleNotOffered, HostError when the server has no guest."""
        ...

    async def inventory(self) -> HostInventory:
        """What this host offers in all, not what is left."""
        ...

    async def cache_images(self, images: Collection[SpecImage]) -> None:
        """Begins to fetch the images that are not there, before any server needs them; who needs one waits for that."""
        ...

    async def sweep_images(self) -> list[Path]:
        """Removes cached images that no server has used for a day; returns them. Raises HostError."""
        ...

    async def close(self) -> None:
        """Ends background work and connections; guests go on running."""
        ...
