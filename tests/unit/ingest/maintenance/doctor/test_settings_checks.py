"""The check of the settings: connections without secrets, misspelt variables, partial sets."""

from pathlib import Path

from ingest.maintenance.doctor.findings import failed, ok, warning
from ingest.maintenance.doctor.settings_checks import in_force
from proxy.settings import Settings, Sources

S3 = {"s3_bucket": "pictures", "aws_region": "eu-west-1"}
REDIS = {"redis_url": "redis://:hunter2@cache"}
POSTGRES = {"database_url": "postgres://u:hunter2@db/d"}


def judged(values: dict[str, str], **misspelt: str) -> object:
    return in_force(Settings(**values), Sources(values=dict(values), misspelt=misspelt))


def test_connections_are_named_without_secrets() -> None:
    assert judged(S3 | REDIS | POSTGRES | {"data_dir": "/data"}) == ok(
        "store: bucket pictures at AWS, region eu-west-1; database: postgres://u:(hidden)@db/d; "
        "redis: redis://:(hidden)@cache; data_dir: /data"
    )


def test_embedded_installation_is_named_by_its_folders() -> None:
    folder = Path("data").absolute()

    assert judged({}) == ok(
        f"store: files in {folder}/objects; database: SQLite in {folder}; redis: none; data_dir: {folder}"
    )


def test_misspelt_variable_is_a_warning_beside_the_connections() -> None:
    folder = Path("data").absolute()

    assert judged({}, S3_BUKCET="S3_BUCKET") == warning(
        f"S3_BUKCET is not a setting: write S3_BUCKET. In force: store: files in {folder}/objects; "
        f"database: SQLite in {folder}; redis: none; data_dir: {folder}"
    )


def test_shared_store_without_shared_database_fails() -> None:
    found = judged(S3 | REDIS)

    assert found == failed(
        "REDIS_URL: with S3_BUCKET and without DATABASE_URL, the machines that share Redis would each have a database "
        "of their own in DATA_DIR. Set DATABASE_URL, or unset REDIS_URL on a single machine"
    )
