"""Takes in an image's data: inspected, hashed and stored while it arrives, in constant memory.

queued → saving → active; whatever goes wrong, the image is queued again and nothing of the data is kept. A batch is
worked on in a thread while the next one arrives.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable

from kilonova.image import leases, quotas
from kilonova.image.errors import ImageTooLarge, RefusedData, UploadLost
from kilonova.image.leases import SavedData
from kilonova.image.quotas import Allowance
from kilonova.image.service import Image
from kilonova.image.stores.interface import DataLost, Incoming
from kilonova.image.tables import ImageRow, Upload
from kilonova.kit.disks.inspection import ImageRefused, Inspector
from kilonova.kit.errors import ServiceUnavailable
from kilonova.kit.log import logger

BATCH_BYTES = 1 << 20
HASH_ALGORITHM = "sha512"
RENEWALS = 6
"""Of a lease within its length: some of them may fail."""

log = logger(__name__)


async def take_in(
    service: Image, row: ImageRow, upload: Upload, data: AsyncIterator[bytes], declared_bytes: int | None = None
) -> None:
    """Stores `data` as the image's, for which `upload` holds the lease.

    Raises RefusedData, ImageTooLarge, StorageFull, OverLimit, ImageGone, WrongStatus, UploadLost, and what `data`
    raises when its sender goes away.
    """
    incoming = None
    is_kept = False
    keeper = asyncio.create_task(_keep_lease(service, upload))

    async def require_lease() -> None:
        if keeper.done():
            keeper.result()
            await _require_lease(service, upload)

    try:
        incoming = await service.stores[upload.store].begin(upload.name)
        async with service.database.reading() as tx:
            allowance = await quotas.allowance_of(tx, row.owner, service.limits)
        intake = _Intake(incoming, Inspector(str(row.disk_format)), service.max_image_bytes, allowance)
        saved = await _receive(intake, data, require_lease)
        if declared_bytes not in (None, saved.size_bytes):
            raise RefusedData(f"The image has {saved.size_bytes} bytes, but {declared_bytes} were announced.")
        await _commit(service, upload, incoming)
        async with service.database.transaction() as tx:
            # Others may have come in meanwhile.
            (await quotas.allowance_of(tx, row.owner, service.limits)).require(saved.size_bytes)
            await leases.finish(tx, upload, saved, service.clock.now())
        is_kept = True
    except ImageRefused as error:
        raise RefusedData(f"Image {row.id} is refused: {error.reason}") from error
    finally:
        keeper.cancel()
        if not is_kept:
            # Also when the sender went away or this request was cancelled.
            await asyncio.shield(_give_up(service, upload, incoming))


async def _keep_lease(service: Image, upload: Upload) -> None:
    """Renews the lease until the upload has lost it."""
    while True:
        await asyncio.sleep(service.upload_lease.total_seconds() / RENEWALS)
        try:
            async with service.database.transaction() as tx:
                if not await leases.renew(tx, upload, service.clock.now() + service.upload_lease):
                    return
        except ServiceUnavailable as fault:
            log.warning("the lease of an upload was not renewed", image_id=upload.image_id, reason=fault.message)


async def _require_lease(service: Image, upload: Upload) -> None:
    """Raises ImageGone, WrongStatus."""
    async with service.database.reading() as tx:
        await leases.require(tx, upload)


async def _commit(service: Image, upload: Upload, incoming: Incoming) -> None:
    """Raises UploadLost, ImageGone, WrongStatus, StorageFull."""
    try:
        await incoming.commit()
    except DataLost as error:
        await _require_lease(service, upload)
        raise UploadLost(
            f"The data of image {upload.image_id} was taken out of the store while it arrived; send it again."
        ) from error


async def _give_up(service: Image, upload: Upload, incoming: Incoming | None) -> None:
    if incoming is not None:
        await incoming.abort()
    async with service.database.transaction() as tx:
        await leases.give_up(tx, upload, service.clock.now())
    log.info("an upload was given up", image_id=upload.image_id)


async def _receive(
    intake: "_Intake", data: AsyncIterator[bytes], require_lease: Callable[[], Awaitable[None]]
) -> SavedData:
    """Takes data until it ends, or until the image is another's: more of it would be of no use."""
    working: asyncio.Task[None] | None = None
    batch: list[bytes] = []
    size = 0
    try:
        async for chunk in data:
            batch.append(chunk)
            size += len(chunk)
            if size >= BATCH_BYTES:
                if working is not None:
                    await asyncio.shield(working)
                await require_lease()
                working = asyncio.create_task(intake.eat(b"".join(batch)))
                batch, size = [], 0
    finally:
        # A thread still writing must have ended before the data is removed, also when this request is cancelled.
        if working is not None:
            await asyncio.wait([working])
    if working is not None:
        working.result()
    return await intake.finish(b"".join(batch))


class _Intake:
    """What every byte goes through."""

    def __init__(self, incoming: Incoming, inspector: Inspector, max_bytes: int, allowance: Allowance) -> None:
        self._incoming = incoming
        self._inspector = inspector
        self._max_bytes = max_bytes
        self._allowance = allowance
        self._size_bytes = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._hash = hashlib.new(HASH_ALGORITHM)

    async def eat(self, data: bytes) -> None:
        """Raises ImageRefused, ImageTooLarge, StorageFull, OverLimit, OSError."""
        self._size_bytes += len(data)
        if self._size_bytes > self._max_bytes:
            raise ImageTooLarge(f"An image has at most {self._max_bytes} bytes.")
        self._allowance.require(self._size_bytes)
        await asyncio.to_thread(self._look_at, data)
        await self._incoming.write(data)

    def _look_at(self, data: bytes) -> None:
        self._inspector.eat(data)
        self._md5.update(data)
        self._hash.update(data)

    async def finish(self, data: bytes) -> SavedData:
        """Takes the last bytes. Raises as `eat` does."""
        await self.eat(data)
        inspection = self._inspector.finish()
        return SavedData(
            size_bytes=self._size_bytes,
            virtual_size_bytes=inspection.virtual_size_bytes,
            checksum=self._md5.hexdigest(),
            hash_algorithm=HASH_ALGORITHM,
            hash_value=self._hash.hexdigest(),
        )
