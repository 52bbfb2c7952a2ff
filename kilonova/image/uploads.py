"""Takes in an image's data: inspected, hashed and written while it arrives, in constant memory.

queued → saving → active; whatever goes wrong, the image is queued again and nothing of the data is kept. An upload
writes a file of its own, and activates the image only while that waits for this upload. A batch is worked on in a
thread while the next one arrives.
"""

import asyncio
import errno
import hashlib
from collections.abc import AsyncIterator, Awaitable

from kilonova.image import images, quotas
from kilonova.image.errors import ImageTooLarge, RefusedData, StorageFull, UploadLost
from kilonova.image.images import SavedData
from kilonova.image.quotas import Allowance
from kilonova.image.service import Image
from kilonova.image.stores.file import FileStore, Part
from kilonova.image.tables import ImageRow
from kilonova.kit.disks.inspection import ImageRefused, Inspector
from kilonova.kit.log import logger

BATCH_BYTES = 1 << 20
HASH_ALGORITHM = "sha512"
FULL = (errno.ENOSPC, errno.EDQUOT)

log = logger(__name__)


async def take_in(service: Image, row: ImageRow, data: AsyncIterator[bytes], declared_bytes: int | None = None) -> None:
    """Stores `data` as the image's, which `row` has claimed (`images.begin_saving`).

    Raises RefusedData, ImageTooLarge, StorageFull, OverLimit, ImageGone, WrongStatus, UploadLost, and what `data`
    raises when its sender goes away.
    """
    part = None
    is_kept = False
    try:
        part = await asyncio.to_thread(service.store.begin, row.file_name)
        async with service.database.reading() as tx:
            allowance = await quotas.allowance_of(tx, row.owner, service.limits)
        intake = _Intake(part, Inspector(str(row.disk_format)), service, allowance)
        saved = await _receive(intake, data)
        if declared_bytes not in (None, saved.size_bytes):
            raise RefusedData(f"The image has {saved.size_bytes} bytes, but {declared_bytes} were announced.")
        is_there = await asyncio.to_thread(part.keep)
        async with service.database.transaction() as tx:
            # Others may have come in meanwhile.
            (await quotas.allowance_of(tx, row.owner, service.limits)).require(saved.size_bytes)
            await images.finish_saving(tx, row, saved, service.clock.now())
            if not is_there:
                raise UploadLost(
                    f"The data of image {row.id} was taken out of the store while it arrived; send it again."
                )
        is_kept = True
    except ImageRefused as error:
        raise RefusedData(f"Image {row.id} is refused: {error.reason}") from error
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise StorageFull("Image storage media is full: there is no room left for this image.") from error
    finally:
        # Also when the sender went away or this request was cancelled.
        if is_kept and part is not None:
            part.close()
        else:
            await asyncio.shield(_give_up(service, row, part))


async def _give_up(service: Image, row: ImageRow, part: Part | None) -> None:
    if part is not None:
        await asyncio.to_thread(part.discard)
    async with service.database.transaction() as tx:
        await images.give_up_saving(tx, row, service.clock.now())
    log.info("an upload was given up", image_id=row.id)


async def _receive(intake: "_Intake", data: AsyncIterator[bytes]) -> SavedData:
    working: Awaitable[None] | None = None
    batch: list[bytes] = []
    size = 0
    try:
        async for chunk in data:
            batch.append(chunk)
            size += len(chunk)
            if size >= BATCH_BYTES:
                if working is not None:
                    await working
                working = asyncio.ensure_future(asyncio.to_thread(intake.eat, b"".join(batch)))
                batch, size = [], 0
    finally:
        # A thread still writing must have ended before the file goes away.
        if working is not None:
            await working
    return await asyncio.to_thread(intake.finish, b"".join(batch))


def require_room(store: FileStore, wanted_bytes: int) -> None:
    """Raises StorageFull when the data would take what uploads leave free. Blocks."""
    space = store.space()
    if wanted_bytes > space.room:
        raise StorageFull(space.refusal or f"Image storage media is full: there is room for {space.room} bytes.")


class _Intake:
    """What every byte goes through. Its methods block."""

    def __init__(self, part: Part, inspector: Inspector, service: Image, allowance: Allowance) -> None:
        self._part = part
        self._inspector = inspector
        self._max_bytes = service.max_image_bytes
        self._store = service.store
        self._allowance = allowance
        self._size_bytes = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._hash = hashlib.new(HASH_ALGORITHM)

    def eat(self, data: bytes) -> None:
        """Raises ImageRefused, ImageTooLarge, StorageFull, OverLimit, OSError."""
        self._size_bytes += len(data)
        if self._size_bytes > self._max_bytes:
            raise ImageTooLarge(f"An image has at most {self._max_bytes} bytes.")
        self._inspector.eat(data)
        self._allowance.require(self._size_bytes)
        require_room(self._store, len(data))
        self._part.write(data)
        self._md5.update(data)
        self._hash.update(data)

    def finish(self, data: bytes) -> SavedData:
        """The last bytes. Raises as `eat` does."""
        self.eat(data)
        inspection = self._inspector.finish()
        return SavedData(
            size_bytes=self._size_bytes,
            virtual_size_bytes=inspection.virtual_size_bytes,
            checksum=self._md5.hexdigest(),
            hash_algorithm=HASH_ALGORITHM,
            hash_value=self._hash.hexdigest(),
        )
