"""Transfers: the offer of a volume, and of its snapshots, to whoever comes with the key.

The volume is `awaiting-transfer` for as long as the offer stands: the row of the transfer owns that status, and leaves
in the transaction that ends it. The key is shown once, to who makes the offer; only its hash is kept. Source: Block
Storage API reference, "Volume transfers".
"""

import hashlib
import hmac
import secrets
import uuid
from collections.abc import Sequence
from datetime import datetime

from kilonova.block_storage import quotas, volume_types, volumes
from kilonova.block_storage.errors import (
    Busy,
    InvalidAuthKey,
    InvalidSnapshot,
    InvalidVolume,
    TransferNotFound,
    VolumeTypeNotFound,
)
from kilonova.block_storage.options import VolumeOptions
from kilonova.block_storage.scope import Scope
from kilonova.block_storage.tables import Snapshot, Transfer, Volume, snapshots, transfers
from kilonova.block_storage.volumes import AWAITING, Caller
from kilonova.kit.db import Tx
from kilonova.kit.db.selections import Selection

FREE = "available"
SETTLED = (FREE, "error", "error_deleting")
"""The statuses of snapshots on which no operation is at work."""


async def find(tx: Tx, transfer_id: str, project_id: str | None) -> Transfer:
    """Raises TransferNotFound. `project_id` None sees every project's."""
    row = await tx.find(Transfer, transfers, id=transfer_id)
    if row is None or project_id not in (None, row.project_id):
        raise TransferNotFound(transfer_id)
    return row


async def list_matching(tx: Tx, selection: Selection, scope: Scope) -> list[Transfer]:
    """Raises the selection's fault for a marker that is not in the scope."""
    return await scope.rows(tx, transfers, Transfer, selection)


async def offer(
    tx: Tx, volume: Volume, name: str | None, now: datetime, *, with_snapshots: bool
) -> tuple[Transfer, str]:
    """Offers a volume; returns the transfer, and the key to it. Raises InvalidVolume, InvalidSnapshot, Busy."""
    if volume.status != FREE:
        raise InvalidVolume(f"Volume {volume.id} is {volume.status}; it has to be {FREE} to be transferred.")
    await volumes.require_unused(tx, volume, "transferred")
    for each in await volumes.snapshots_of(tx, volume.id) if with_snapshots else ():
        if each.status != FREE:
            raise InvalidSnapshot(f"Snapshot {each.id} is {each.status}; it has to be {FREE} to be transferred.")
    key = secrets.token_hex(16)
    row = Transfer(
        id=str(uuid.uuid4()),
        volume_id=volume.id,
        project_id=volume.project_id,
        name=name,
        with_snapshots=with_snapshots,
        key_hash=_hash_of(key),
        created_at=now,
    )
    await volumes.set_status(tx, volume, AWAITING, now)
    await tx.insert(transfers, row)
    return row, key


def _hash_of(key: str) -> str:
    """Returns the form in which a key is kept: it is random enough to need no salt."""
    return hashlib.sha256(key.encode()).hexdigest()


async def withdraw(tx: Tx, row: Transfer, now: datetime) -> None:
    """Takes an offer back. Raises TransferNotFound when it was accepted or withdrawn meanwhile, Busy."""
    if not await tx.remove(transfers, id=row.id):
        raise TransferNotFound(row.id)
    volume = await volumes.find(tx, row.volume_id, None)
    _require_offered(volume, row)
    await volumes.set_status(tx, volume, FREE, now)


async def accept(tx: Tx, options: VolumeOptions, row: Transfer, key: str, caller: Caller, now: datetime) -> None:
    """Gives the volume to the caller's project, which pays for it, in the one transaction that ends the offer.

    Raises InvalidAuthKey, InvalidVolume, InvalidSnapshot, OverQuota, Busy.
    """
    if not hmac.compare_digest(_hash_of(key), row.key_hash):
        raise InvalidAuthKey(row.id)
    volume = await volumes.find(tx, row.volume_id, None)
    _require_offered(volume, row)
    owned = await volumes.snapshots_of(tx, volume.id) if row.with_snapshots else []
    for each in owned:
        if each.status not in SETTLED:
            raise InvalidSnapshot(f"Snapshot {each.id} is {each.status}: it cannot be transferred now.")
    type_name = await _usable_type(tx, volume, caller)
    if caller.project_id != volume.project_id:
        wanted = _claimed(options, volume, owned)
        await quotas.claim(tx, options, caller.project_id, type_name, wanted, size_gib=volume.size_gib)
    # Whoever takes it first has it.
    if not await tx.remove(transfers, id=row.id):
        raise TransferNotFound(row.id)
    owner = {"project_id": caller.project_id, "user_id": caller.user_id}
    await volumes.set_status(tx, volume, FREE, now, **owner)
    for each in owned:
        await tx.change(snapshots, {"id": each.id}, **owner, updated_at=now)


def _require_offered(volume: Volume, row: Transfer) -> None:
    if volume.status != AWAITING:
        raise Busy(f"Volume {volume.id} of transfer {row.id} is {volume.status}, not {AWAITING}.")


async def _usable_type(tx: Tx, volume: Volume, caller: Caller) -> str:
    """Returns the name of the volume's type. Raises InvalidVolume when the caller's project may not use it."""
    try:
        found = await volume_types.find(tx, volume.volume_type_id, seen_by=caller.project_id, sees_all=caller.is_admin)
    except VolumeTypeNotFound as error:
        raise InvalidVolume(
            f"Volume {volume.id} is of a private type that project {caller.project_id} may not use."
        ) from error
    return found.name


def _claimed(options: VolumeOptions, volume: Volume, owned: Sequence[Snapshot]) -> dict[str, int]:
    """Returns what the accepting project has to have room for."""
    wanted = {"volumes": 1, "gigabytes": volume.size_gib}
    if owned:
        wanted["snapshots"] = len(owned)
        if options.snapshots_take_gigabytes:
            wanted["gigabytes"] += sum(each.size_gib for each in owned)
    return wanted
