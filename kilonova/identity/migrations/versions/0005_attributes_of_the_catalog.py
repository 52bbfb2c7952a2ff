"""Additional attributes of regions, services and endpoints"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = ("regions", "services", "endpoints")


def upgrade() -> None:
    for name in TABLES:
        op.add_column(name, sa.Column("extra", sa.JSON(), nullable=True))


def downgrade() -> None:
    for name in TABLES:
        op.drop_column(name, "extra")
