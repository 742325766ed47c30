"""Parses URLs of the settings; those of the database and of Redis before their drivers read them.

A driver's error message or traceback may contain a part of a malformed URL, for instance its password. The messages
here contain none: names of parameters at most.
"""

import os
import re
import ssl
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from pydantic import AfterValidator

_URL = re.compile(
    r"(?P<scheme>[a-z0-9+]+)://((?P<user>[^:/?#@\s]*)(:(?P<password>[^/?#@\s]*))?@)?(?P<hosts>[^/?#@\s]*)"
    r"(/(?P<path>[^?#@\s]*))?(\?(?P<query>[^#@\s]*))?",
    re.ASCII,
)
_HOST = re.compile(r"(?P<host>[\w.-]+|\[[0-9a-fA-F:.]+\]|/[^:,]+)(:(?P<port>\d{1,5}))?", re.ASCII)
_UNREADABLE = (
    "write SCHEME://USER:PASSWORD@HOST:PORT/DATABASE, with special characters of the password percent-encoded "
    "(@ is %40, / is %2F, # is %23)"
)

_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_TLS_VERSION = r"TLSv1(\.[123])?"
_FOR_ASYNCPG = {
    "sslmode": r"disable|allow|prefer|require|verify-ca|verify-full",
    "sslrootcert": r".+",
    "sslcert": r".+",
    "sslkey": r".+",
    "sslcrl": r".+",
    "sslpassword": r".*",
    "sslnegotiation": r"postgres|direct",
    "ssl_min_protocol_version": _TLS_VERSION,
    "ssl_max_protocol_version": _TLS_VERSION,
    "target_session_attrs": r"any|primary|standby|read-write|read-only|prefer-standby",
    "application_name": r".*",
    "options": r".*",
}
"""Parameters of libpq that asyncpg reads from a DSN. It sends the last two to the server, as libpq does."""
_WITHOUT_EFFECT = {
    "channel_binding": r"disable|prefer",
    "gssencmode": r"disable|prefer",
    "sslcompression": r"0",
    "sslsni": r"1",
    "client_encoding": r"auto|utf8|UTF8",
    "load_balance_hosts": r"disable",
    "prepared_statement_cache_size": r"0",
}
"""Parameters with values that change nothing, because asyncpg or Darkroom does this in any case."""
_FOR_REDIS = {
    "db": r"\d{1,5}",
    "protocol": r"[23]",
    "client_name": r"[!-~]+",
    "ssl_cert_reqs": r"none|optional|required",
    "ssl_check_hostname": r"(?i:true|false|yes|no|1|0)",
    "ssl_ca_certs": r".+",
    "ssl_certfile": r".+",
    "ssl_keyfile": r".+",
}
"""Parameters of redis-py's URLs and their values. Darkroom sets the others itself, for instance timeouts."""


def parse_database_url(url: str) -> dict[str, Any]:
    """Returns the arguments of SQLAlchemy's `URL.create` for `DATABASE_URL`. Raises ValueError.

    Accepts URLs of libpq. Their parameters go into a DSN, because asyncpg reads them as libpq does, from a DSN only:
    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
    """
    if match := re.fullmatch(r"sqlite\+aiosqlite:///(?P<file>[^?#]+)", url):
        return {"drivername": "sqlite+aiosqlite", "database": match["file"]}
    schemes = ("postgresql", "postgres", "postgresql+asyncpg")
    parts = _split(url, schemes, "begin it with postgresql:// or sqlite+aiosqlite:///")
    query = _parse_query(parts["query"])
    user, password = (query.pop(name, unquote(parts[name])) for name in ("user", "password"))
    database = query.pop("dbname", unquote(parts["path"]))
    hosts = _parse_hosts(query.pop("host", unquote(parts["hosts"])), query.pop("port", "5432"))
    timeout = query.pop("connect_timeout", "")
    if not re.fullmatch(r"\d{0,5}", timeout, re.ASCII):
        raise ValueError("give the parameter connect_timeout as a whole number of seconds")
    parameters = urlencode(_translate_parameters(query), quote_via=quote)
    arguments: dict[str, Any] = {
        "drivername": "postgresql+asyncpg",
        "username": user or None,
        "password": password or None,
        "database": database or None,
    }
    [(host, port), *others] = hosts
    if others or host.startswith("/"):  # SQLAlchemy's dialect does not pass these on
        dsn = ",".join(f"{quote(host, safe='[:]')}:{port}" for host, port in hosts)
    else:
        arguments |= {"host": host.strip("[]"), "port": port}
        dsn = ""
    asked = {"dsn": f"postgresql://{dsn}?{parameters}"} if dsn or parameters else {}
    return arguments | {"query": asked | ({"timeout": timeout} if timeout else {})}


def check_redis_url(url: str) -> None:
    """Raises ValueError if redis-py could not read `url`, or would ignore a part of it."""
    parts = _split(url, ("redis", "rediss", "unix"), "begin it with redis://, rediss:// or unix://")
    if re.search(r"[\[\]]", parts["user"] + parts["password"]):  # urllib takes them for an IPv6 address and raises
        raise ValueError(f"{_UNREADABLE[:-1]}, [ is %5B, ] is %5D)")
    if parts["scheme"] == "unix":
        if parts["hosts"] or not parts["path"]:
            raise ValueError("write unix:///PATH, with the path of the server's socket")
    elif len(_parse_hosts(parts["hosts"], "6379")) > 1:
        raise ValueError("name one host")
    elif not re.fullmatch(r"\d{0,5}", parts["path"]):
        raise ValueError("give the database after the host as a number, for instance /0")
    tls = parts["scheme"] == "rediss"
    query = _parse_query(parts["query"])
    if not tls and (name := next((name for name in query if name in _FOR_REDIS and name.startswith("ssl_")), None)):
        raise ValueError(f"the parameter {name} is for TLS: begin the URL with rediss://, or remove it")
    _check_parameters(query, _FOR_REDIS)


def parse_base_url(url: str) -> str:
    """Returns an http URL without its last slashes. Raises ValueError.

    Base URLs are displayed, some publicly, so they must not contain a password.
    """
    if not re.fullmatch(r"https?://[^\s\"'<>?#/@]+(/[^\s\"'<>?#]*)?", url):
        raise ValueError("give an http:// or https:// URL without name, password, query or fragment")
    return url.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(parse_base_url)]


def hide_secrets(url: str) -> str:
    """Returns `url`, which must be valid, with `(hidden)` in place of its passwords."""
    url = re.sub(r"(?<=://)([^:/?#@]*):[^/?#@]*@", r"\1:(hidden)@", url, count=1)
    return re.sub(r"(?<=[?&])([^=&]*)=[^&]*", _hide_parameter, url)


def _hide_parameter(parameter: re.Match[str]) -> str:
    name = parameter[1]
    return f"{name}=(hidden)" if unquote(name) in ("password", "sslpassword") else parameter[0]


def _split(url: str, schemes: tuple[str, ...], advice: str) -> dict[str, str]:
    """Returns the parts of a URL by name, still percent-encoded; those that it lacks are empty."""
    if url.partition("://")[0] not in schemes:
        raise ValueError(advice)
    match = _URL.fullmatch(url)
    if match is None:
        raise ValueError(_UNREADABLE)
    return {name: value or "" for name, value in match.groupdict().items()}


def _parse_query(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError:
        raise ValueError("write its parameters as NAME=VALUE, with & between them") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{_describe(name)} is given twice")
        found[name] = value
    return found


def _parse_hosts(hosts: str, ports: str) -> list[tuple[str, int]]:
    """Returns hosts and ports. `ports`: for hosts without one; one for all, or as many as hosts, comma-separated."""
    if not hosts:
        raise ValueError("it names no host")
    names, others = hosts.split(","), ports.split(",")
    if len(others) not in (1, len(names)):
        raise ValueError("give as many ports as hosts, or one for all")
    found = []
    for name, other in zip(names, others if len(others) > 1 else others * len(names), strict=True):
        match = _HOST.fullmatch(name)
        port = (match["port"] or other) if match else ""
        if match is None or not re.fullmatch(r"\d{1,5}", port, re.ASCII):
            raise ValueError(_UNREADABLE)
        if not 0 < int(port) < 65_536:
            raise ValueError("give a port from 1 to 65535")
        found.append((match["host"], int(port)))
    return found


def _translate_parameters(query: dict[str, str]) -> dict[str, str]:
    """Returns the parameters that asyncpg needs. Raises ValueError for those that it would ignore or not understand."""
    given = _translate_tls(query)
    _check_parameters(given, _FOR_ASYNCPG | _WITHOUT_EFFECT)
    return {name: value for name, value in given.items() if name in _FOR_ASYNCPG and value}


def _translate_tls(query: dict[str, str]) -> dict[str, str]:
    given = dict(query)
    if (mode := given.pop("ssl", None)) is not None:  # as SQLAlchemy and asyncpg name it
        given.setdefault("sslmode", "require" if mode == "true" else mode)
    mode = given.get("sslmode", "prefer")
    if given.get("sslrootcert") == "system":
        given["sslrootcert"] = _system_certificates()
    if mode.startswith("verify-") and not given.get("sslrootcert"):
        raise ValueError(
            f"sslmode={mode} needs the parameter sslrootcert: the file of the authority's certificate, or system"
        )
    if given.get("channel_binding") == "require":
        if mode != "verify-full":
            raise ValueError(
                "channel_binding=require is not supported by the driver. Instead of it and of sslmode, write "
                "sslmode=verify-full&sslrootcert=system, which verifies the server by its certificate"
            )
        del given["channel_binding"]
    return given


def _system_certificates() -> str:
    paths = ssl.get_default_verify_paths()
    for file in (paths.cafile, "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"):
        if file and os.access(file, os.R_OK):
            return file
    raise ValueError("sslrootcert=system: this machine has no file of root certificates. Name one")


def _check_parameters(given: dict[str, str], known: dict[str, str]) -> None:
    """Raises ValueError unless all parameters are known, with values that match, and their files can be read."""
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"{_describe(name)} is not supported: remove it")
        if not re.fullmatch(known[name], value):
            raise ValueError(f"{_describe(name)} has a value that is not supported{_alternatives(known[name])}")
        if name in _FILES and not (os.access(value, os.R_OK) and Path(value).is_file()):
            raise ValueError(f"{_describe(name)} names a file that cannot be read")


def _alternatives(pattern: str) -> str:
    """Returns the values of a pattern that lists them."""
    words = pattern.split("|")
    return f": give {' or '.join(words)}" if all(re.fullmatch(r"[\w-]+", word) for word in words) else ""


def _describe(name: str) -> str:
    """Names a parameter, unless it may be a piece of a secret."""
    return f"the parameter {name}" if re.fullmatch(r"[A-Za-z_]{1,40}", name) else "one of its parameters"
