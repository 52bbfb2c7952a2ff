"""Servers are rebuilt, rescued, deleted softly and shelved."""

import sqlalchemy as sa
from alembic import op

import kilonova.kit.db.types

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("servers", schema=None) as batch_op:
        batch_op.add_column(sa.Column("rebuild_count", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("keeps_ephemeral", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column("rescue", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("root_image", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("left_at", kilonova.kit.db.types.UtcDateTime(), nullable=True))
        batch_op.create_index("servers_left_at", ["left_at"])


def downgrade() -> None:
    with op.batch_alter_table("servers", schema=None) as batch_op:
        batch_op.drop_index("servers_left_at")
        for name in ("left_at", "root_image", "rescue", "keeps_ephemeral", "rebuild_count"):
            batch_op.drop_column(name)
