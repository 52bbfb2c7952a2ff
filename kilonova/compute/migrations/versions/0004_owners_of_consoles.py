"""Console tokens know whose they are, so that they end when their user, project or token is revoked."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("console_tokens", schema=None) as batch_op:
        for name in ("user_id", "project_id", "audit_id"):
            batch_op.add_column(sa.Column(name, sa.String(length=64), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("console_tokens", schema=None) as batch_op:
        for name in ("user_id", "project_id", "audit_id"):
            batch_op.drop_column(name)
