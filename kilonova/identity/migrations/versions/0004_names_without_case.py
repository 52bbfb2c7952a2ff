"""Names are compared without case"""

from collections import defaultdict

import sqlalchemy as sa
from alembic import op

from kilonova.identity.names import fold, fold_second

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = {
    "domains": (),
    "projects": ("domain_id",),
    "users": ("domain_id",),
    "groups": ("domain_id",),
    "roles": ("domain_id",),
}
"""Table → what a name is unique within."""


def upgrade() -> None:
    for name, within in TABLES.items():
        # Added, never made anew: SQLite would delete what belongs to the rows of the old table.
        op.add_column(name, sa.Column("folded_name", sa.String(length=255), nullable=False, server_default=""))
        _fold(name, within)
        op.create_index(f"{name}_folded_name", name, [*within, "folded_name"], unique=True)


def _fold(name: str, within: tuple[str, ...]) -> None:
    """The first of several that differ by case, in the order of their ids, is who is meant by yet another spelling."""
    table = sa.table(name, *(sa.column(each) for each in ("id", "name", "folded_name", *within)))
    connection = op.get_bind()
    place = [table.c[each] for each in within]
    taken: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for record_id, record_name, *where in connection.execute(
        sa.select(table.c.id, table.c.name, *place).order_by(table.c.id)
    ).all():
        folded = fold(record_name)
        if folded in taken[tuple(where)]:
            folded = fold_second(record_name, record_id)
        taken[tuple(where)].add(folded)
        connection.execute(table.update().where(table.c.id == record_id).values(folded_name=folded))


def downgrade() -> None:
    for name in TABLES:
        op.drop_index(f"{name}_folded_name", name)
        op.drop_column(name, "folded_name")
