"""The protocol of back ends. Every call may be repeated; what takes long answers how far it is."""

from collections.abc import Sequence
from typing import Protocol

from kilonova.block_storage.agent.spec import Observation, PoolStats, VolumeSpec
from kilonova.kit.connectors import Connection


class StaleEpoch(Exception):
    """The caller's claim on a volume or a snapshot is older than one that was obeyed already."""

    def __init__(self, subject_id: str, epoch: int, newest: int) -> None:
        super().__init__(f"Epoch {epoch} for {subject_id} is older than {newest}, which was obeyed already.")


class VolumeDriver(Protocol):
    """One back end. Failures are HostErrors, in the back end's own words."""

    async def ensure_volume(self, spec: VolumeSpec, epoch: int) -> Observation:
        """Makes a volume, from its source where it has one. A failed attempt leaves nothing, and is raised once.

        Raises HostError, StaleEpoch.
        """
        ...

    async def release_volume(self, volume_id: str, epoch: int) -> None:
        """Removes a volume, half made or whole; ok when there is none. Raises HostError, StaleEpoch."""
        ...

    async def extend_volume(self, volume_id: str, size_gib: int, epoch: int) -> Observation:
        """Makes a volume at least so large; what is new reads as zeros. Raises HostError, StaleEpoch."""
        ...

    async def ensure_snapshot(self, snapshot_id: str, volume_id: str, epoch: int) -> Observation:
        """Keeps a volume's present content. Raises HostError, StaleEpoch."""
        ...

    async def release_snapshot(self, snapshot_id: str, volume_id: str, epoch: int) -> Observation:
        """Removes a snapshot; ok when there is none, or no such volume. Raises HostError, StaleEpoch."""
        ...

    async def revert_volume(self, volume_id: str, snapshot_id: str, epoch: int) -> Observation:
        """Gives a volume the content of its snapshot. Raises HostError, StaleEpoch."""
        ...

    async def connection_to(self, volume_id: str, attachment_id: str) -> Connection:
        """Returns how an attachment's host reaches a volume, and lets it. Raises HostError when there is none."""
        ...

    async def disconnect(self, volume_id: str, attachment_id: str | None) -> None:
        """Ends what `connection_to` has let in: one attachment, or all of the volume. Raises HostError.

        Ok when there is none, or no such volume.
        """
        ...

    async def keep_up(self) -> None:
        """Puts back what the host has lost of connections that were made. Raises HostError."""
        ...

    async def pools(self) -> Sequence[PoolStats]: ...

    async def close(self) -> None:
        """Ends what runs in this process; detached jobs go on."""
        ...
