"""Uploads without disks: obeys the same contract as the real ones, for tests and for `kilonova up --fake`."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from kilonova.block_storage.agent.contract import UploadArguments
from kilonova.block_storage.agent.driver import StaleEpoch
from kilonova.block_storage.agent.spec import Observation
from kilonova.kit.connectors import Connection
from kilonova.kit.disks.uploads import UploadImage
from kilonova.kit.host_commands import HostError

DONE = Observation(True)


@dataclass
class FakeUploads:
    """Sends a word for each volume; every upload is under way at the first question, and over at the second."""

    send: UploadImage
    under_way: set[str] = field(default_factory=set)
    sent: set[str] = field(default_factory=set)
    epochs: dict[str, int] = field(default_factory=dict)
    is_broken: str = ""
    """Why nothing can be sent."""

    async def ensure_upload(self, asked: UploadArguments, connection: Connection) -> Observation:
        self._admit(asked.image_id, asked.epoch)
        if asked.image_id in self.sent:
            return DONE
        if self.is_broken:
            raise HostError(self.is_broken)
        if asked.image_id not in self.under_way:
            self.under_way.add(asked.image_id)
            return Observation(False, "copying the volume")
        data = f"volume {asked.volume_id}".encode()

        async def read() -> AsyncIterator[bytes]:
            yield data

        try:
            await self.send(asked.image_id, read, len(data))
        except HostError:
            self.under_way.discard(asked.image_id)
            raise
        self.sent.add(asked.image_id)
        return DONE

    async def stop_upload(self, image_id: str, epoch: int) -> None:
        self._admit(image_id, epoch)
        self.under_way.discard(image_id)
        self.sent.discard(image_id)

    def _admit(self, image_id: str, epoch: int) -> None:
        """Raises StaleEpoch."""
        newest = self.epochs.get(image_id, epoch)
        if epoch < newest:
            raise StaleEpoch(image_id, epoch, newest)
        self.epochs[image_id] = epoch
