"""Chores: what one process of many does now and then."""

import sqlalchemy as sa
from alembic import op

from kilonova.kit.db import UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "chores",
        sa.Column("name", sa.String(length=64), primary_key=True),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.Column("holder", sa.String(length=36), nullable=True),
        sa.Column("done_at", UtcDateTime(), nullable=True),
    )


def downgrade() -> None:
    op.drop_table("chores")
