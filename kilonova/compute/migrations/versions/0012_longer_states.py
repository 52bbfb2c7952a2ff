"""The state of a server fits in its column: the longest is `shelved_offloaded`."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("servers", schema=None) as batch_op:
        batch_op.alter_column(
            "vm_state", existing_type=sa.String(length=16), type_=sa.String(length=32), existing_nullable=False
        )


def downgrade() -> None:
    with op.batch_alter_table("servers", schema=None) as batch_op:
        batch_op.alter_column(
            "vm_state", existing_type=sa.String(length=32), type_=sa.String(length=16), existing_nullable=False
        )
