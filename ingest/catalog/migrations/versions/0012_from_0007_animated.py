"""Whether originals are animations."""

import sqlalchemy as sa
from alembic import op

revision = "0012_from_0007"
down_revision = "0011_from_0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("images", sa.Column("animated", sa.Boolean()))


def downgrade() -> None:
    op.drop_column("images", "animated")
