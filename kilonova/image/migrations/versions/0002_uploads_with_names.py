"""Uploads with names of their own, and ids that stay taken"""

import sqlalchemy as sa
from alembic import op

import kilonova.kit.db.types

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "deleted_images",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("deleted_at", kilonova.kit.db.types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("images", schema=None) as batch_op:
        batch_op.add_column(sa.Column("upload_id", sa.String(length=36), nullable=True))
    # Nothing of an upload that the last release was interrupted in can be gone on with.
    op.execute(
        "UPDATE images SET status = 'queued', size_bytes = NULL, virtual_size_bytes = NULL WHERE status = 'saving'"
    )


def downgrade() -> None:
    with op.batch_alter_table("images", schema=None) as batch_op:
        batch_op.drop_column("upload_id")
    op.drop_table("deleted_images")
