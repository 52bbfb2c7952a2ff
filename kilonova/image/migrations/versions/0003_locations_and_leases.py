"""Where images' data is, and who is uploading"""

import sqlalchemy as sa
from alembic import op

import kilonova.kit.db.types

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

images = sa.table("images", *(sa.column(name, sa.String) for name in ("id", "status", "upload_id")))
locations = sa.table("image_locations", *(sa.column(name, sa.String) for name in ("image_id", "store", "name")))


def upgrade() -> None:
    op.create_table(
        "image_locations",
        sa.Column("image_id", sa.String(length=36), nullable=False),
        sa.Column("store", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("image_id", "store"),
    )
    op.create_table(
        "upload_leases",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("image_id", sa.String(length=36), nullable=False),
        sa.Column("store", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("lease_until", kilonova.kit.db.types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("image_id"),
    )
    op.create_index("upload_leases_until", "upload_leases", ["lease_until"])
    # Data from before uploads had names is called like its image.
    name = sa.case((images.c.upload_id.is_(None), images.c.id), else_=images.c.id + "." + images.c.upload_id)
    stored = sa.select(images.c.id, sa.literal("file"), name).where(images.c.status.in_(("active", "deactivated")))
    op.execute(locations.insert().from_select(["image_id", "store", "name"], stored))
    # An upload that the last release was interrupted in has no lease: its data is removed when the service starts.
    op.execute(images.update().where(images.c.status == "saving").values(status="queued"))
    # Not made anew: SQLite would delete what belongs to the rows of the old table.
    op.drop_column("images", "upload_id")


def downgrade() -> None:
    op.add_column("images", sa.Column("upload_id", sa.String(length=36), nullable=True))
    upload_id = sa.select(sa.func.substr(locations.c.name, 38)).where(
        locations.c.image_id == images.c.id, sa.func.length(locations.c.name) > 36
    )
    op.execute(images.update().values(upload_id=upload_id.scalar_subquery()))
    op.execute(images.update().where(images.c.status == "saving").values(status="queued"))
    op.drop_index("upload_leases_until", "upload_leases")
    op.drop_table("upload_leases")
    op.drop_table("image_locations")
