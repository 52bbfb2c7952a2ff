"""Consoles: tokens that open them, and daemons that are listed because they have said that they are there."""

import sqlalchemy as sa
from alembic import op

import kilonova.kit.db.types

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "console_tokens",
        sa.Column("token_digest", sa.String(length=64), nullable=False),
        sa.Column("server_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("expires_at", kilonova.kit.db.types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("token_digest"),
    )
    with op.batch_alter_table("console_tokens", schema=None) as batch_op:
        batch_op.create_index("console_tokens_expires_at", ["expires_at"], unique=False)
        batch_op.create_index("console_tokens_server", ["server_id"], unique=False)
    op.create_table(
        "control_daemons",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("binary", sa.String(length=64), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("created_at", kilonova.kit.db.types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("binary", "host"),
    )


def downgrade() -> None:
    op.drop_table("control_daemons")
    op.drop_table("console_tokens")
