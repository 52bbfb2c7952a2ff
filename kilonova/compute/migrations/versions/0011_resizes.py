"""Servers get another flavor, and come back to what they were."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("servers", sa.Column("former_disks", sa.String(length=8), nullable=False, server_default="gone"))
    op.add_column("migrations", sa.Column("old_flavor", sa.JSON(), nullable=True))
    op.add_column("migrations", sa.Column("new_flavor", sa.JSON(), nullable=True))
    op.create_index("migrations_status", "migrations", ["status", "source_host"])


def downgrade() -> None:
    op.drop_index("migrations_status", "migrations")
    op.drop_column("migrations", "new_flavor")
    op.drop_column("migrations", "old_flavor")
    op.drop_column("servers", "former_disks")
