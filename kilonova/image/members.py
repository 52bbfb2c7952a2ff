"""Members: the projects an image is shared with, and whether they took it."""

from datetime import datetime

from sqlalchemy import delete, func, select, update

from kilonova.image.errors import MemberExists, MemberNotFound, TooMany
from kilonova.image.tables import ImageMember, ImageRow, MemberStatus, image_members
from kilonova.kit.db import Tx
from kilonova.kit.errors import Forbidden

MAX_MEMBERS = 128


def require_shared(row: ImageRow) -> None:
    """Raises Forbidden: only an image with the visibility `shared` has members."""
    if row.visibility != "shared":
        raise Forbidden(f"Only shared images have members; image {row.id} is {row.visibility}.")


async def list_of(tx: Tx, image_id: str) -> list[ImageMember]:
    statement = select(image_members).where(image_members.c.image_id == image_id)
    return await tx.all(ImageMember, statement.order_by(image_members.c.created_at, image_members.c.member_id))


async def find(tx: Tx, image_id: str, member_id: str) -> ImageMember:
    """Raises MemberNotFound."""
    wanted = (image_members.c.image_id == image_id) & (image_members.c.member_id == member_id)
    member = await tx.first(ImageMember, select(image_members).where(wanted))
    if member is None:
        raise MemberNotFound(f"{member_id} is no member of image {image_id}.")
    return member


async def add(tx: Tx, image_id: str, member_id: str, now: datetime) -> ImageMember:
    """Raises MemberExists, TooMany."""
    count = await tx.scalar(select(func.count()).where(image_members.c.image_id == image_id))
    if count >= MAX_MEMBERS:
        raise TooMany(f"An image has at most {MAX_MEMBERS} members.")
    member = ImageMember(image_id, member_id, "pending", now, now)
    if not await tx.insert_new(image_members, member):
        raise MemberExists(f"{member_id} is a member of image {image_id} already.")
    return member


async def answer(tx: Tx, image_id: str, member_id: str, status: MemberStatus, now: datetime) -> ImageMember:
    """Raises MemberNotFound."""
    wanted = (image_members.c.image_id == image_id) & (image_members.c.member_id == member_id)
    await tx.execute(update(image_members).where(wanted).values(status=status, updated_at=now))
    return await find(tx, image_id, member_id)


async def remove(tx: Tx, image_id: str, member_id: str) -> None:
    """Raises MemberNotFound."""
    await find(tx, image_id, member_id)
    wanted = (image_members.c.image_id == image_id) & (image_members.c.member_id == member_id)
    await tx.execute(delete(image_members).where(wanted))
