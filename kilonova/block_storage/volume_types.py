"""Volume types: what users choose among, with extra specs that back ends are chosen by, and who may use them."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, func, or_, select

from kilonova.block_storage import quotas
from kilonova.block_storage.errors import (
    AccessExists,
    AccessNotFound,
    KeyNotFound,
    VolumeTypeExists,
    VolumeTypeInUse,
    VolumeTypeNotFound,
)
from kilonova.block_storage.options import VolumeOptions
from kilonova.block_storage.tables import (
    DefaultType,
    TypeAccess,
    VolumeType,
    default_types,
    volume_type_projects,
    volume_types,
    volumes,
)
from kilonova.kit.db import Tx
from kilonova.kit.db.selections import Condition, Filter, Selection, select_rows
from kilonova.kit.db.statements import rows_among
from kilonova.kit.errors import BadRequest

MOST_SPECS = 128
"""Extra specs of one type: whoever places a volume looks at all."""


def is_visible_to(project_id: str | None) -> ColumnElement[bool]:
    """The condition of types that a project may use."""
    allowed = select(volume_type_projects.c.volume_type_id).where(volume_type_projects.c.project_id == project_id)
    return or_(volume_types.c.is_public.is_(True), volume_types.c.id.in_(allowed))


async def find(tx: Tx, type_id: str, *, seen_by: str | None, sees_all: bool = False) -> VolumeType:
    """Raises VolumeTypeNotFound for one that does not exist, or that the project may not use."""
    row = await tx.find(VolumeType, volume_types, id=type_id)
    if row is None or not (sees_all or row.is_public or await _has_access(tx, row.id, seen_by)):
        raise VolumeTypeNotFound(type_id)
    return row


async def find_named(tx: Tx, name_or_id: str, *, seen_by: str | None, sees_all: bool = False) -> VolumeType:
    """Finds a type by its id, or else by its name. Raises VolumeTypeNotFound."""
    try:
        return await find(tx, name_or_id, seen_by=seen_by, sees_all=sees_all)
    except VolumeTypeNotFound:
        named = await tx.find(VolumeType, volume_types, name=name_or_id)
        if named is None:
            raise
        try:
            return await find(tx, named.id, seen_by=seen_by, sees_all=sees_all)
        except VolumeTypeNotFound:
            raise VolumeTypeNotFound(name_or_id) from None


async def _has_access(tx: Tx, type_id: str, project_id: str | None) -> bool:
    if project_id is None:
        return False
    return await tx.find(TypeAccess, volume_type_projects, volume_type_id=type_id, project_id=project_id) is not None


async def default_for(tx: Tx, options: VolumeOptions, project_id: str | None) -> VolumeType:
    """Returns the type of volumes for which none is named: the project's own default, or the configuration's.

    Raises VolumeTypeNotFound when that was deleted.
    """
    if project_id is not None:
        own = await tx.find(DefaultType, default_types, project_id=project_id)
        if own is not None:
            return await find(tx, own.volume_type_id, seen_by=project_id, sees_all=True)
    found = await tx.find(VolumeType, volume_types, name=options.default_type)
    if found is None:
        raise VolumeTypeNotFound(options.default_type)
    return found


async def names_of(tx: Tx, ids: Sequence[str]) -> dict[str, str]:
    """Type id → name."""
    found = await tx.all(VolumeType, rows_among(volume_types, "id"), id=sorted(set(ids)))
    return {each.id: each.name for each in found}


async def list_matching(tx: Tx, selection: Selection, seen_by: str | None, is_public: bool | None) -> list[VolumeType]:
    """`seen_by`: a project that sees those it may use; None sees all. `is_public` None: private ones too."""
    visible = [] if seen_by is None else [is_visible_to(seen_by)]
    if is_public is not None:
        visible.append(volume_types.c.is_public.is_(is_public))
    return await select_rows(tx, volume_types, VolumeType, selection, visible)


async def has_specs(tx: Tx, specs: Mapping[str, str]) -> Condition:
    """Returns the condition of types that have all of these extra specs; there are as many as administrators made."""
    found = await tx.all(VolumeType, select(volume_types))
    return Filter("id", "in", [each.id for each in found if specs.items() <= each.extra_specs.items()])


async def create(tx: Tx, new: VolumeType) -> None:
    """Raises VolumeTypeExists."""
    if not await tx.insert_new(volume_types, new):
        raise VolumeTypeExists(new.name)


async def change(
    tx: Tx, row: VolumeType, *, name: str, description: str | None, is_public: bool, now: datetime
) -> None:
    """Writes a type's new fields; limits set for it keep to its new name. Raises VolumeTypeExists."""
    if name != row.name:
        if await tx.find(VolumeType, volume_types, name=name) is not None:
            raise VolumeTypeExists(name)
        # Of a type that had the name before nothing may be left in their way.
        await quotas.forget_types(tx, [name])
        await quotas.rename_type(tx, row.name, name)
    await tx.change(
        volume_types, {"id": row.id}, name=name, description=description, is_public=is_public, updated_at=now
    )


async def delete(tx: Tx, options: VolumeOptions, row: VolumeType) -> None:
    """Raises VolumeTypeInUse for a default type, and for one that volumes have."""
    defaults = await tx.scalar(select(func.count()).where(default_types.c.volume_type_id == row.id))
    if row.name == options.default_type or defaults:
        raise VolumeTypeInUse(f"Volume type {row.name} is a default type and cannot be deleted.")
    if await tx.scalar(select(func.count()).where(volumes.c.volume_type_id == row.id)):
        raise VolumeTypeInUse(f"Volume type {row.id} cannot be deleted: there are volumes of it.")
    await tx.remove(volume_type_projects, volume_type_id=row.id)
    await quotas.forget_types(tx, [row.name])
    await tx.remove(volume_types, id=row.id)


async def set_specs(tx: Tx, row: VolumeType, specs: Mapping[str, str], now: datetime) -> dict[str, str]:
    """Adds extra specs to a type's, or changes them. Raises BadRequest for more than a type may have."""
    merged = {**row.extra_specs, **specs}
    if len(merged) > MOST_SPECS:
        raise BadRequest(f"A volume type has {MOST_SPECS} extra specs at most, not {len(merged)}.")
    await tx.change(volume_types, {"id": row.id}, extra_specs=merged, updated_at=now)
    return merged


async def remove_spec(tx: Tx, row: VolumeType, key: str, now: datetime) -> None:
    """Raises KeyNotFound."""
    if key not in row.extra_specs:
        raise KeyNotFound(f"Volume type {row.id} has no extra spec {key}.")
    kept = {name: value for name, value in row.extra_specs.items() if name != key}
    await tx.change(volume_types, {"id": row.id}, extra_specs=kept, updated_at=now)


async def access_of(tx: Tx, row: VolumeType) -> list[TypeAccess]:
    """Returns the projects that may use a private type. Raises VolumeTypeNotFound for a public one."""
    _require_private(row)
    statement = select(volume_type_projects).where(volume_type_projects.c.volume_type_id == row.id)
    return await tx.all(TypeAccess, statement.order_by(volume_type_projects.c.project_id))


def _require_private(row: VolumeType) -> None:
    if row.is_public:
        raise AccessNotFound(f"Volume type {row.id} is public: it has no list of projects.")


async def add_access(tx: Tx, row: VolumeType, project_id: str) -> None:
    """Raises AccessExists, AccessNotFound for a public type."""
    if row.is_public:
        raise AccessExists(f"Volume type {row.id} is public: every project may use it.")
    if not await tx.insert_new(volume_type_projects, TypeAccess(row.id, project_id)):
        raise AccessExists(f"Project {project_id} may use volume type {row.id} already.")


async def remove_access(tx: Tx, row: VolumeType, project_id: str) -> None:
    """Raises AccessNotFound."""
    _require_private(row)
    if not await tx.remove(volume_type_projects, volume_type_id=row.id, project_id=project_id):
        raise AccessNotFound(f"Project {project_id} has no access to volume type {row.id}.")


async def default_of_project(tx: Tx, project_id: str) -> DefaultType | None:
    return await tx.find(DefaultType, default_types, project_id=project_id)


async def all_defaults(tx: Tx) -> list[DefaultType]:
    return await tx.all(DefaultType, select(default_types).order_by(default_types.c.project_id))


async def set_default(tx: Tx, project_id: str, row: VolumeType) -> DefaultType:
    await tx.remove(default_types, project_id=project_id)
    chosen = DefaultType(project_id, row.id)
    await tx.insert(default_types, chosen)
    return chosen


async def unset_default(tx: Tx, project_id: str) -> bool:
    """Returns whether the project had a default of its own."""
    return bool(await tx.remove(default_types, project_id=project_id))
