"""Idempotency keys and private metadata."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("upload_jobs", sa.Column("idempotency_key", sa.String(64)))
    op.add_column("upload_jobs", sa.Column("fingerprint", sa.String(64)))
    op.create_index("upload_jobs_by_key", "upload_jobs", ["idempotency_key"], unique=True)
    op.add_column("images", sa.Column("private", sa.JSON().with_variant(JSONB(), "postgresql")))


def downgrade() -> None:
    op.drop_column("images", "private")
    op.drop_index("upload_jobs_by_key", "upload_jobs")
    op.drop_column("upload_jobs", "fingerprint")
    op.drop_column("upload_jobs", "idempotency_key")
