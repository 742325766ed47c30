"""What applications say of their uploads: owner, external id, metadata. The digest of the original.

Also the deletions of all uploads of an owner, and used tickets of deleted uploads.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009_from_0007"
down_revision = "0008_from_0007"
branch_labels = None
depends_on = None

_INDEXED = {"images_by_owner": "owner", "images_by_external_id": "external_id"}


def upgrade() -> None:
    op.add_column("images", sa.Column("sha256", sa.String(64)))
    op.add_column("images", sa.Column("owner", sa.String(128)))
    op.add_column("images", sa.Column("external_id", sa.String(128)))
    op.add_column("images", sa.Column("metadata", sa.JSON))
    for name, column in _INDEXED.items():
        where = sa.text(f"{column} IS NOT NULL")
        op.create_index(name, "images", [column, "created_at", "upload_id"], postgresql_where=where, sqlite_where=where)
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "spent_tickets",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("spent_at", moment, nullable=False),
    )
    op.create_index("spent_tickets_by_time", "spent_tickets", ["spent_at"])
    op.create_table(
        "owner_deletions",
        sa.Column("deletion_id", sa.Uuid(as_uuid=False), primary_key=True),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("deleted", sa.Integer, nullable=False),
        sa.Column("failed", sa.Integer, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("updated_at", moment, nullable=False),
        sa.Column("heartbeat_at", moment, nullable=False),
        sa.Column("worker", sa.String(32)),
    )


def downgrade() -> None:
    op.drop_table("owner_deletions")
    op.drop_table("spent_tickets")
    for name in _INDEXED:
        op.drop_index(name, "images")
    for column in ("metadata", "external_id", "owner", "sha256"):
        op.drop_column("images", column)
