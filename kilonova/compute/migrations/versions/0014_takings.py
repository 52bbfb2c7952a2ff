"""Servers take shares of the NUMA nodes of their hosts."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "takings",
        sa.Column("server_id", sa.String(length=36), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("flavor_id", sa.String(length=255), nullable=False),
        sa.Column("placement", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("server_id", "host", "flavor_id"),
    )
    op.create_index("takings_host", "takings", ["host"])


def downgrade() -> None:
    op.drop_table("takings")
