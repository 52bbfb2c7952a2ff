"""What each revision concerned"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "changes",
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("concerned", sa.String(length=300), nullable=False),
        sa.PrimaryKeyConstraint("revision", "concerned"),
    )


def downgrade() -> None:
    op.drop_table("changes")
