"""Which process answers for an agent"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    column = sa.Column("answers_as", sa.String(length=255), nullable=False, server_default="neutron-linuxbridge-agent")
    op.add_column("agents", column)


def downgrade() -> None:
    op.drop_column("agents", "answers_as")
