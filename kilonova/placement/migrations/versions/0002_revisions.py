"""Revisions of providers"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "revisions",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.add_column("providers", sa.Column("revision", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_index(op.f("ix_providers_revision"), "providers", ["revision"])


def downgrade() -> None:
    op.drop_index(op.f("ix_providers_revision"), "providers")
    op.drop_column("providers", "revision")
    op.drop_table("revisions")
