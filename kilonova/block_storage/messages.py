"""Messages: why an operation has failed, in words for the project it happened to.

Source: Block Storage API reference, "Messages": ids of events, and how long a message is kept.
"""

import uuid
from datetime import datetime, timedelta

from msgspec import Struct
from sqlalchemy import ColumnElement, and_, delete

from kilonova.block_storage.errors import MessageNotFound
from kilonova.block_storage.tables import Message, messages
from kilonova.kit.db import Tx
from kilonova.kit.db.selections import Filter, Selection, select_rows

LONGEST_TEXT = 1000
KEEPS = timedelta(days=30)
EVERY_SECONDS = 86400.0


class NewMessage(Struct, frozen=True, kw_only=True):
    project_id: str
    request_id: str
    event: tuple[str, str]
    """The ids of the action and of the detail."""
    resource_type: str
    resource_id: str
    text: str


async def write(tx: Tx, new: NewMessage, now: datetime) -> None:
    action_id, detail_id = new.event
    message = Message(
        id=str(uuid.uuid4()),
        project_id=new.project_id,
        request_id=new.request_id,
        action_id=action_id,
        detail_id=detail_id,
        resource_type=new.resource_type,
        resource_id=new.resource_id,
        text=new.text[:LONGEST_TEXT],
        created_at=now,
        expires_at=now + KEEPS,
    )
    await tx.insert(messages, message)


async def find(tx: Tx, message_id: str, project_id: str | None) -> Message:
    """Raises MessageNotFound. `project_id` None sees every project's."""
    row = await tx.find(Message, messages, id=message_id)
    if row is None or project_id not in (None, row.project_id):
        raise MessageNotFound(message_id)
    return row


def has_event(event_id: str) -> ColumnElement[bool]:
    """The condition of messages whose event has this id, as the API spells it: `VOLUME_KIND_ACTION_DETAIL`."""
    kind, _, numbers = event_id.removeprefix("VOLUME_").rpartition("_")
    kind, _, action_id = kind.rpartition("_")
    columns = messages.c
    return and_(columns.resource_type == kind, columns.action_id == action_id, columns.detail_id == numbers)


async def list_of(tx: Tx, project_id: str, selection: Selection) -> list[Message]:
    return await select_rows(tx, messages, Message, selection.narrowed(Filter("project_id", "eq", project_id)))


async def remove(tx: Tx, row: Message) -> None:
    await tx.remove(messages, id=row.id)


async def forget_expired(tx: Tx, now: datetime) -> int:
    """Removes messages that were kept long enough; returns their number."""
    return await tx.execute(delete(messages).where(messages.c.expires_at <= now))
