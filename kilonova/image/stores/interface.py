"""The interface of stores of image data.

Data lies in a store under a name that is given once. It is whole when an image's location names it; until then it
belongs to the upload whose lease names it (`leases.py`). All calls leave the loop free.
"""

from collections.abc import AsyncIterator
from typing import Protocol

from kilonova.kit.errors import TooLarge


class DataMissing(Exception):
    """There is no data under this name."""


class DataLost(Exception):
    """Data was taken out of the store while it was written."""


class StorageFull(TooLarge):
    """The store takes no data, or not as much as that."""


class Incoming(Protocol):
    """Data on its way in. `abort` may follow everything else, and be repeated."""

    async def write(self, data: bytes) -> None:
        """Appends. Raises StorageFull."""
        ...

    async def commit(self) -> None:
        """Returns when the data will survive a crash of the store. Raises DataLost, StorageFull."""
        ...

    async def abort(self) -> None:
        """Removes what was written."""
        ...


class Store(Protocol):
    id: str
    """As clients name it."""
    type: str
    description: str

    async def begin(self, name: str) -> Incoming:
        """Makes room for new data under a name that no data has. Raises StorageFull."""
        ...

    async def read(self, name: str, start: int, length: int) -> AsyncIterator[bytes]:
        """`length` bytes from `start` on, in chunks, even if the data is removed meanwhile. Raises DataMissing."""
        ...

    async def remove(self, name: str) -> None:
        """Removes data, if it is there."""
        ...

    async def names(self) -> set[str]:
        """The names of all data, whole or not."""
        ...

    async def require_room(self, size_bytes: int) -> None:
        """Raises StorageFull when the store will not take so much."""
        ...

    async def refusal(self) -> str | None:
        """Why the store takes no data, if it takes none."""
        ...
