"""What a project may have of images: how many, and how many bytes in all.

Source: the names and units of upstream's registered limits. See docs/decisions/0024.
"""

from msgspec import Struct
from sqlalchemy import func, select

from kilonova.image.errors import OverLimit
from kilonova.image.tables import images
from kilonova.kit.db import Tx
from kilonova.kit.db.expressions import total

MIB = 1 << 20
UNLIMITED = -1


class Limits(Struct, frozen=True):
    """-1: no limit."""

    image_count_total: int = UNLIMITED
    image_size_total: int = UNLIMITED
    """In MiB."""


class Usage(Struct, frozen=True):
    count: int
    size_bytes: int


async def usage_of(tx: Tx, project_id: str | None) -> Usage:
    statement = select(func.count(), total(images.c.size_bytes)).where(images.c.owner == project_id)
    ((count, size_bytes),) = await tx.tuples(statement)
    return Usage(count, size_bytes)


async def require_place(tx: Tx, project_id: str | None, limits: Limits) -> None:
    """Raises OverLimit when the project may have no other image. What belongs to no project is the administrators'."""
    if project_id is None or limits.image_count_total == UNLIMITED:
        return
    usage = await usage_of(tx, project_id)
    if usage.count >= limits.image_count_total:
        raise OverLimit(
            f"Project {project_id} has {usage.count} images, and its limit is {limits.image_count_total} "
            "(image_count_total)."
        )


class Allowance(Struct, frozen=True):
    """How much more a project may store."""

    project_id: str | None
    left_bytes: int | None
    """None: there is no limit."""

    def require(self, size_bytes: int) -> None:
        """Raises OverLimit for data that is more than is left, and when nothing is."""
        left = self.left_bytes
        if left is not None and (size_bytes > left or left == 0):
            raise OverLimit(
                f"Project {self.project_id} may store {left} bytes more in its images (image_size_total), "
                f"not {size_bytes}."
            )


async def allowance_of(tx: Tx, project_id: str | None, limits: Limits) -> Allowance:
    if project_id is None or limits.image_size_total == UNLIMITED:
        return Allowance(project_id, None)
    usage = await usage_of(tx, project_id)
    return Allowance(project_id, max(0, limits.image_size_total * MIB - usage.size_bytes))
