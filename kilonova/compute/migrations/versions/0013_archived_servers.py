"""Deleted servers can be archived: the API shows them no longer."""

import sqlalchemy as sa
from alembic import op

from kilonova.kit.db import UtcDateTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("server_history", schema=None) as batch_op:
        batch_op.add_column(sa.Column("archived_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("server_history", schema=None) as batch_op:
        batch_op.drop_column("archived_at")
