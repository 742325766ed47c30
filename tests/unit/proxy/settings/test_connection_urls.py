"""URLs of the database and of Redis: as managed services hand them out, and refusals without secrets."""

import re
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis
from sqlalchemy import URL, make_url

from proxy.settings import SettingsError, Sources, describe_connections, hide_secrets, load_settings, parse_database_url
from proxy.settings.connection_urls import check_redis_url

PASSWORD = "s3cr3t"
SCHEMES = ["postgres", "postgresql+asyncpg", "redis", "rediss", "unix", "sqlite+aiosqlite", "mysql", "REDIS", ""]
HOSTS = ["db", "", "db:5432", "db:port", "db:0", "[::1]:1", "[::1", "a,b:1", "/run/x", "db.", " db"]
ENDS = [
    "",
    "/d",
    "/0",
    "/d/e",
    "?sslmode=require",
    "?ssl_cert_reqs=none",
    "/d?x",
    "?db=x",
    "/d?connect_timeout=soon",
    "#f",
]
NAMES = ["password", "pass%77ord", "sslpassword", "PASSWORD", "passwd", "user%20", PASSWORD, "ssl_certfile"]
noise = st.text(alphabet=list(" @:/?#[]%&=,;\\\"'\n\té1"), max_size=3)
with_password = st.builds(
    lambda scheme, slashes, user, before, after, host, end: (
        f"{scheme}{slashes}{user}:{before}{PASSWORD}{after}@{host}{end}"
    ),
    st.sampled_from(SCHEMES),
    st.sampled_from(["://", ":", ":/", "//", ""]),
    st.sampled_from(["u", "", "u%40", "ü"]),
    noise,
    noise,
    st.sampled_from(HOSTS),
    st.sampled_from(ENDS),
)
with_parameter = st.builds(
    lambda scheme, host, name, after: f"{scheme}://{host}/d?{name}={PASSWORD}{after}",
    st.sampled_from(SCHEMES),
    st.sampled_from(HOSTS),
    st.sampled_from(NAMES),
    noise,
)


def parsed(url: str) -> URL:
    return URL.create(**parse_database_url(url))


def dsn(parameters: str) -> object:
    return parsed(f"postgresql://db/d?{parameters}").query.get("dsn")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_plain_url_is_sqlalchemys(scheme: str) -> None:
    url = parsed(f"{scheme}://user:p%40ss%2Fw%23rd@db.example:6432/shop")

    assert url.drivername == "postgresql+asyncpg"
    assert (url.username, url.password, url.host, url.port, url.database) == (
        "user",
        "p@ss/w#rd",
        "db.example",
        6432,
        "shop",
    )
    assert url.query == {}


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [("postgres://db", "db", 5432), ("postgres://[::1]:1/d", "::1", 1), ("postgres:///d?host=db&port=7", "db", 7)],
)
def test_host_and_port_have_several_places(url: str, host: str, port: int) -> None:
    assert (parsed(url).host, parsed(url).port) == (host, port)


def test_login_and_database_may_be_parameters() -> None:
    url = parsed("postgres://db?user=u&password=p&dbname=d")

    assert (url.username, url.password, url.database, url.query) == ("u", "p", "d", {})


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ("sslmode=require", "postgresql://?sslmode=require"),
        ("ssl=require", "postgresql://?sslmode=require"),
        ("ssl=true", "postgresql://?sslmode=require"),
        ("sslmode=require&channel_binding=prefer", "postgresql://?sslmode=require"),
        ("application_name=my%20shop", "postgresql://?application_name=my%20shop"),
        ("options=-c%20statement_timeout%3D5s", "postgresql://?options=-c%20statement_timeout%3D5s"),
        ("target_session_attrs=read-write", "postgresql://?target_session_attrs=read-write"),
        ("gssencmode=disable&client_encoding=utf8&sslsni=1", None),
        ("application_name=", None),
        ("", None),
    ],
)
def test_libpq_parameters_become_a_dsn(parameters: str, expected: str | None) -> None:
    assert dsn(parameters) == expected


def test_several_hosts_and_sockets_become_a_dsn() -> None:
    several, socket = parsed("postgres://u@one,two:7/d"), parsed("postgres:///d?host=/run/postgresql")

    assert (several.host, several.query["dsn"]) == (None, "postgresql://one:5432,two:7?")
    assert (socket.host, socket.query["dsn"]) == (None, "postgresql://%2Frun%2Fpostgresql:5432?")


def test_certificate_of_verify_full_is_a_readable_file(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()

    assert str(dsn(f"sslmode=verify-full&channel_binding=require&sslrootcert={tmp_path}/ca.pem")).endswith("ca.pem")
    for wrong in ("none.pem", ""):
        with pytest.raises(ValueError, match="sslrootcert names a file that cannot be read"):
            dsn(f"sslmode=verify-full&sslrootcert={tmp_path}/{wrong}")


def test_system_certificates_are_a_file() -> None:
    found = re.fullmatch(
        r"postgresql://\?sslmode=verify-full&sslrootcert=(.*)", str(dsn("sslmode=verify-full&sslrootcert=system"))
    )

    assert found is not None
    assert Path(found[1].replace("%2F", "/")).is_file()


def test_time_to_connect_is_for_sqlalchemy() -> None:
    url = parsed("postgres://db/d?connect_timeout=4&prepared_statement_cache_size=0")

    assert url.query == {"timeout": "4"}


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ("sslmode=strict", "the parameter sslmode has a value that is not supported: give disable or allow or prefer"),
        ("sslmode=verify-full", "sslmode=verify-full needs the parameter sslrootcert"),
        ("sslmode=verify-ca", "sslmode=verify-ca needs the parameter sslrootcert"),
        ("sslmode=require&channel_binding=require", "write sslmode=verify-full&sslrootcert=system, which verifies"),
        ("keepalives=1", "the parameter keepalives is not supported: remove it"),
        ("pgbouncer=true", "the parameter pgbouncer is not supported: remove it"),
        ("gssencmode=require", "the parameter gssencmode has a value that is not supported: give disable or prefer"),
        ("connect_timeout=soon", "give the parameter connect_timeout as a whole number of seconds"),
        ("sslmode=require&sslmode=disable", "the parameter sslmode is given twice"),
        ("target_session_attrs=any&dsn=postgres://x", "the parameter dsn is not supported"),
        ("hunter2", "NAME=VALUE"),
        ("hunter2=1", "one of its parameters is not supported"),
    ],
)
def test_unsupported_parameter_is_named(parameters: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)) as caught:
        dsn(parameters)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "hunter2",
        "mysql://u:hunter2@db/d",
        "postgresql+psycopg://u:hunter2@db/d",
        "postgres://u:hunter2@",
        "postgres://u:hunter2@/d",
        "postgres:///d",
        "postgres://u:hun@ter2@db/d",
        "postgres://u:hunter2/x@db/d",
        "postgres://u:1/hunter2@db/d",
        "postgres://u:1?hunter2@db/d",
        "postgres://u:hunter2#x@db/d",
        "postgres://u:hunter2@db:port/d",
        "postgres://u:hunter2@db:0/d",
        "postgres://u:hunter2@db:65536/d",
        "postgres://u:hunter2@a,b/d?port=1,2,3",
        "postgres://u:hunter2@db /d",
        "sqlite://hunter2",
        "sqlite+aiosqlite://",
        "sqlite+aiosqlite://hunter2/x",
    ],
)
def test_malformed_database_url_is_refused_without_its_secret(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_database_url(url)

    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_sqlite_url_is_kept() -> None:
    assert parsed("sqlite+aiosqlite:////data/x.db") == make_url("sqlite+aiosqlite:////data/x.db")


@pytest.mark.parametrize(
    "url",
    [
        "redis://cache",
        "redis://cache:6380/15",
        "redis://:p%40ss@cache/0",
        "rediss://default:secret@cache.example:6380?ssl_cert_reqs=none",
        "redis://[::1]:6379",
        "redis://cache?db=3&protocol=3",
        "unix:///run/redis.sock?db=1",
        "unix://user:secret@/run/redis.sock",
    ],
)
def test_redis_url_is_accepted(url: str) -> None:
    check_redis_url(url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("hunter2", "begin it with redis://"),
        ("redis+sentinel://:hunter2@cache", "begin it with redis://"),
        ("redis://:hunter2@", "it names no host"),
        ("redis://", "it names no host"),
        ("redis://u:hun/ter2@cache:1", "percent-encoded"),
        ("redis://u:1/hunter2@cache", "percent-encoded"),
        ("redis://:hunter2@cache:x", "percent-encoded"),
        ("redis://:hunter2[@cache", "[ is %5B"),
        ("redis://:hunter2@a,b", "name one host"),
        ("redis://:hunter2@cache/jobs", "as a number"),
        ("redis://:hunter2@cache?socket_timeout=1", "the parameter socket_timeout is not supported"),
        ("redis://:hunter2@cache?ssl_cert_reqs=none", "ssl_cert_reqs is for TLS: begin the URL with rediss://"),
        ("redis://:hunter2@cache:70000", "give a port from 1 to 65535"),
        ("rediss://:hunter2@cache?ssl_cert_reqs=maybe", "not supported: give none or optional or required"),
        ("rediss://:hunter2@cache?ssl_ca_certs=/nowhere", "the parameter ssl_ca_certs names a file"),
        ("unix://run/redis.sock", "unix:///PATH"),
    ],
)
def test_malformed_redis_url_is_refused_without_its_secret(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)) as caught:
        check_redis_url(url)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgres://u:hunter2@db:5/d?sslmode=require", "postgres://u:(hidden)@db:5/d?sslmode=require"),
        ("postgres://db?user=u&password=hunter2&sslmode=a", "postgres://db?user=u&password=(hidden)&sslmode=a"),
        ("postgres://db/d?sslpassword=hunter2", "postgres://db/d?sslpassword=(hidden)"),
        ("redis://:hunter2@cache/0", "redis://:(hidden)@cache/0"),
        ("redis://cache:6379/0", "redis://cache:6379/0"),
        ("sqlite+aiosqlite:////data/x.db", "sqlite+aiosqlite:////data/x.db"),
    ],
)
def test_only_passwords_are_hidden(url: str, shown: str) -> None:
    assert hide_secrets(url) == shown


@pytest.mark.parametrize("variable", ["database_url", "redis_url"])
@given(url=with_password | with_parameter)
def test_password_is_never_shown_however_the_url_is_malformed(variable: str, url: str) -> None:
    """Neither by the error, traceback and causes included, nor by what a start, `config` and the doctor show of it."""
    try:
        settings = load_settings(Sources({variable: url}))
        shown = [
            *describe_connections(settings).values(),
            hide_secrets(url),
            repr(settings),
            settings.model_dump_json(),
        ]
        if variable == "database_url":
            parsed(url)
        else:
            Redis.from_url(url)  # raises for what it cannot read; does not connect
    except SettingsError as error:
        shown = traceback.format_exception(error)

    assert not [text for text in shown if PASSWORD in text]


def test_password_under_an_encoded_name_is_hidden() -> None:
    assert hide_secrets("postgres://db?pass%77ord=hunter2&user=u") == "postgres://db?pass%77ord=(hidden)&user=u"
