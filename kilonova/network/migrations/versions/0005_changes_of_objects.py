"""Changes name the object that they are about"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Agents ask for everything when their server has started: no change of before is looked at again.
    op.drop_table("changes")
    op.create_table(
        "changes",
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("concerned", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("revision"),
    )


def downgrade() -> None:
    op.drop_table("changes")
    op.create_table(
        "changes",
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("concerned", sa.String(length=300), nullable=False),
        sa.PrimaryKeyConstraint("revision", "concerned"),
    )
