"""The visibility of uploads."""

import sqlalchemy as sa
from alembic import op

revision = "0010_from_0007"
down_revision = "0009_from_0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("images", sa.Column("visibility", sa.String(7), nullable=False, server_default="public"))


def downgrade() -> None:
    op.drop_column("images", "visibility")
