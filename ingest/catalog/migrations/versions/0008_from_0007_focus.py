"""The focus of uploads."""

import sqlalchemy as sa
from alembic import op

revision = "0008_from_0007"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("images", sa.Column("focus", sa.String(16)))


def downgrade() -> None:
    op.drop_column("images", "focus")
