"""QoS specs: limits that volumes of a type have, and who is to obey them.

The host of a server obeys those of the consumer `front-end`: they reach it with the volume's connection, as they are
when it is connected. No back end here obeys any: specs for back ends are kept, and a type that has some makes no
volumes. Source: Block Storage API reference, "QoS specifications", and the administration guide's "Basic volume QoS".
"""

from collections.abc import Iterable, Mapping

from sqlalchemy import select

from kilonova.block_storage.errors import QosSpecsExist, QosSpecsInUse, QosSpecsNotFound
from kilonova.block_storage.tables import QosSpecs, Volume, VolumeType, qos_specs, volume_types
from kilonova.kit.db import Tx
from kilonova.kit.db.selections import Selection, select_rows
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import MAX_INT64
from kilonova.kit.http.queries import whole_number

FRONT_END, BACK_END, BOTH = "front-end", "back-end", "both"
MOST_SPECS = 64
LIMITED = tuple(f"{which}_{what}_sec" for what in ("bytes", "iops") for which in ("read", "write", "total"))
PER_GB, LEAST_PER_GB = "_per_gb", "_per_gb_min"
FRONT_END_KEYS = frozenset(
    ("size_iops_sec", *(f"{name}{ending}" for name in LIMITED for ending in ("", "_max", PER_GB, LEAST_PER_GB)))
)
"""The keys that hosts of servers obey; a value `_per_gb` is one for each GiB of the volume."""


async def find(tx: Tx, qos_specs_id: str) -> QosSpecs:
    """Raises QosSpecsNotFound."""
    row = await tx.find(QosSpecs, qos_specs, id=qos_specs_id)
    if row is None:
        raise QosSpecsNotFound(qos_specs_id)
    return row


async def list_matching(tx: Tx, selection: Selection) -> list[QosSpecs]:
    return await select_rows(tx, qos_specs, QosSpecs, selection)


async def create(tx: Tx, new: QosSpecs) -> None:
    """Raises BadRequest, QosSpecsExist."""
    _check(new.consumer, new.specs)
    if not await tx.insert_new(qos_specs, new):
        raise QosSpecsExist(new.name)


async def change(tx: Tx, row: QosSpecs, consumer: str, specs: Mapping[str, str]) -> None:
    """Adds specs, or changes them. Raises BadRequest."""
    merged = {**row.specs, **specs}
    _check(consumer, merged)
    await tx.change(qos_specs, {"id": row.id}, consumer=consumer, specs=merged)


def _check(consumer: str, specs: Mapping[str, str]) -> None:
    """Raises BadRequest for too many specs, and for what no host of a server obeys."""
    if len(specs) > MOST_SPECS:
        raise BadRequest(f"QoS specs have {MOST_SPECS} keys at most, not {len(specs)}.")
    for key, value in specs.items():
        if key in FRONT_END_KEYS and consumer != BACK_END:
            whole_number(key, value, most=MAX_INT64)
        elif consumer == FRONT_END:
            raise BadRequest(f"No host obeys {key}; possible keys are {', '.join(sorted(FRONT_END_KEYS))}.")


async def remove_keys(tx: Tx, row: QosSpecs, keys: Iterable[str]) -> None:
    """Raises BadRequest for a key that is not there."""
    kept = dict(row.specs)
    for key in keys:
        if key not in kept:
            raise BadRequest(f"QoS specs {row.id} have no key {key}.")
        del kept[key]
    await tx.change(qos_specs, {"id": row.id}, specs=kept)


async def delete(tx: Tx, row: QosSpecs, *, forced: bool) -> None:
    """Raises QosSpecsInUse where types have them, unless it is forced: those have none then."""
    if forced:
        await disassociate_all(tx, row)
    associated = await types_of(tx, row)
    if associated:
        raise QosSpecsInUse(f"QoS specs {row.id} are those of {len(associated)} volume types.")
    await tx.remove(qos_specs, id=row.id)


async def types_of(tx: Tx, row: QosSpecs) -> list[VolumeType]:
    """Returns the volume types that have these specs."""
    statement = select(volume_types).where(volume_types.c.qos_specs_id == row.id)
    return await tx.all(VolumeType, statement.order_by(volume_types.c.name))


async def associate(tx: Tx, row: QosSpecs, chosen: VolumeType) -> None:
    """Safe to repeat. Raises BadRequest for a type that has other specs."""
    if chosen.qos_specs_id == row.id:
        return
    if not await tx.change(volume_types, {"id": chosen.id, "qos_specs_id": None}, qos_specs_id=row.id):
        raise BadRequest(f"Volume type {chosen.id} has other QoS specs: disassociate them first.")


async def disassociate(tx: Tx, row: QosSpecs, chosen: VolumeType) -> None:
    """Raises BadRequest for a type that does not have these specs."""
    if not await tx.change(volume_types, {"id": chosen.id, "qos_specs_id": row.id}, qos_specs_id=None):
        raise BadRequest(f"Volume type {chosen.id} does not have the QoS specs {row.id}.")


async def disassociate_all(tx: Tx, row: QosSpecs) -> None:
    await tx.change(volume_types, {"qos_specs_id": row.id}, qos_specs_id=None)


async def require_served(tx: Tx, chosen: VolumeType) -> None:
    """Raises BadRequest for a type whose volumes a back end would have to limit."""
    row = await tx.find(QosSpecs, qos_specs, id=chosen.qos_specs_id) if chosen.qos_specs_id else None
    for_backend = [] if row is None or row.consumer == FRONT_END else sorted(row.specs)
    if row is not None and row.consumer == BOTH:
        for_backend = [key for key in for_backend if key not in FRONT_END_KEYS]
    if for_backend:
        raise BadRequest(
            f"Volume type {chosen.name} asks its back end to obey {', '.join(for_backend)}, and no back end here limits"
            f" volumes: hosts of servers do, for the consumer {FRONT_END}."
        )


async def specs_for_host(tx: Tx, volume: Volume) -> dict[str, str]:
    """Returns what the host of a server has to obey for a volume, those for each GiB reckoned up."""
    chosen = await tx.find(VolumeType, volume_types, id=volume.volume_type_id)
    row = await tx.find(QosSpecs, qos_specs, id=chosen.qos_specs_id) if chosen and chosen.qos_specs_id else None
    if row is None or row.consumer == BACK_END:
        return {}
    specs = {key: value for key, value in row.specs.items() if key in FRONT_END_KEYS}
    for name in LIMITED:
        per_gb, least = specs.pop(f"{name}{PER_GB}", None), int(specs.pop(f"{name}{LEAST_PER_GB}", "0"))
        if per_gb is not None:
            specs[name] = str(max(int(per_gb) * volume.size_gib, least))
    return specs
