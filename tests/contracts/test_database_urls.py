"""`DATABASE_URL` with libpq's parameters, on a Postgres with TLS: each parameter has the effect that libpq gives it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from ingest.catalog.database import Database
from ingest.ingest_errors import CatalogUnavailable
from proxy.settings import Settings
from tests.certificates import make_certificate
from tests.postgres import PostgresServer
from tests.server import free_port
from tests.service import darkroom

SESSION = text(
    "SELECT ssl, current_setting('application_name'), current_setting('statement_timeout') "
    "FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost that signs itself, in a file with its key."""
    return make_certificate(tmp_path_factory.mktemp("tls") / "localhost.pem", "localhost")


@pytest.fixture
def server(postgres: PostgresServer, certificate: Path) -> Iterator[PostgresServer]:
    """With TLS, as managed servers have it."""
    postgres.use_tls(certificate)
    yield postgres
    postgres.use_tls(None)


@pytest.fixture
async def url(server: PostgresServer) -> AsyncIterator[str]:
    """As `psql` takes it, with the host's name."""
    made = server.create_database()
    yield made.replace("+asyncpg", "").replace("127.0.0.1", "localhost")
    server.drop_database(made)


async def session(url: str) -> tuple[bool, str, str]:
    """Returns whether TLS is used, the application's name, and the statements' timeout."""
    database = Database.from_settings(Settings(database_url=url))
    try:
        async with database.transaction() as connection:
            return tuple((await connection.execute(SESSION)).one())
    finally:
        await database.close()


async def explained(url: str) -> str:
    with pytest.raises(CatalogUnavailable) as caught:
        await session(url)
    return str(caught.value)


@pytest.mark.parametrize(
    ("parameters", "tls"),
    [
        ("sslmode=require", True),
        ("sslmode=require&channel_binding=prefer&connect_timeout=10", True),
        ("sslmode=disable", False),
        ("sslmode=verify-full&sslrootcert={certificate}", True),
        ("sslmode=verify-full&sslrootcert={certificate}&channel_binding=require", True),
        ("target_session_attrs=read-write", True),
    ],
)
async def test_tls_is_as_the_url_asks(url: str, certificate: Path, parameters: str, tls: bool) -> None:
    used, _, _ = await session(f"{url}?{parameters.format(certificate=certificate)}")

    assert used is tls


async def test_session_parameters_reach_the_server(url: str) -> None:
    found = await session(f"{url}?application_name=shop&options=-c%20statement_timeout%3D7s")

    assert found[1:] == ("shop", "7s")


async def test_short_scheme_and_second_host_are_used(url: str) -> None:
    scheme, _, rest = url.partition("://")
    login, _, place = rest.partition("@")
    assert scheme == "postgresql"

    assert await session(f"postgres://{login}@localhost:{free_port()},{place}?application_name=x") == (True, "x", "0")


@pytest.mark.parametrize("parameters", ["sslrootcert=system", "sslrootcert={other}"])
async def test_unknown_authority_is_unavailable(url: str, tmp_path: Path, parameters: str) -> None:
    other = tmp_path / "other.pem"
    other.write_text("no certificate")

    with pytest.raises(CatalogUnavailable):
        await session(f"{url}?sslmode=verify-full&{parameters.format(other=other)}")


async def test_wrong_host_name_is_unavailable_with_verify_full(url: str, certificate: Path) -> None:
    by_address = url.replace("localhost", "127.0.0.1")

    assert (await session(f"{by_address}?sslmode=verify-ca&sslrootcert={certificate}"))[0]
    assert await explained(f"{by_address}?sslmode=verify-full&sslrootcert={certificate}") == (
        "The database's certificate was not accepted. Check the host in DATABASE_URL and its sslrootcert."
    )


@pytest.mark.parametrize("parameters", ["options=-c%20no_such_setting%3D1", "target_session_attrs=standby"])
async def test_parameter_that_the_server_refuses_is_unavailable(url: str, parameters: str) -> None:
    with pytest.raises(CatalogUnavailable):
        await session(f"{url}?{parameters}")


@pytest.mark.slow
async def test_migrate_command_uses_the_parameters(url: str, tmp_path: Path) -> None:
    done = await asyncio.to_thread(
        darkroom, tmp_path, "migrate", DATABASE_URL=f"{url}?sslmode=require&connect_timeout=10"
    )

    assert (done.returncode, done.stderr) == (0, "")


async def test_server_without_tls_is_explained(postgres: PostgresServer) -> None:
    assert await explained(f"{postgres.url('postgres').replace('+asyncpg', '')}?sslmode=require") == (
        "The database does not offer TLS. Turn it on there, or correct sslmode in DATABASE_URL."
    )
