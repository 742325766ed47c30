"""What applications say of their uploads: owner, external id, metadata. The digest of the original."""

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


def downgrade() -> None:
    for name in _INDEXED:
        op.drop_index(name, "images")
    for column in ("metadata", "external_id", "owner", "sha256"):
        op.drop_column("images", column)
