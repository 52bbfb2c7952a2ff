"""Log-ins: where from, and how often they failed"""

import sqlalchemy as sa
from alembic import op

import kilonova.kit.db.types

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "log_ins",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failed_at", kilonova.kit.db.types.UtcDateTime(), nullable=True),
        sa.Column("succeeded_at", kilonova.kit.db.types.UtcDateTime(), nullable=True),
        sa.Column("kept_until", kilonova.kit.db.types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("account", "source"),
    )
    op.create_index("log_ins_kept_until", "log_ins", ["kept_until"])


def downgrade() -> None:
    op.drop_table("log_ins")
