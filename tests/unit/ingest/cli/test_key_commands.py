"""`darkroom keys new` prints keys that `API_KEYS` accepts."""

import json
import re

import pytest
from typer.testing import CliRunner, Result

from ingest.cli import app
from proxy.settings import Settings, parse_api_keys


def new(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["keys", "new", *arguments])


def test_key_is_a_random_secret() -> None:
    first, second = new(), new()

    assert (first.exit_code, first.stderr) == (0, "")
    assert re.fullmatch(r"[\w-]{32}\n", first.stdout)
    assert first.stdout != second.stdout
    [key] = parse_api_keys([first.stdout.strip()])
    assert str(key) == "default:admin:(hidden)"


def test_key_has_name_and_scopes() -> None:
    [key] = parse_api_keys([new("shop", "--scopes", "read+upload").stdout.strip()])

    assert str(key) == "shop:upload+read:(hidden)"


def test_json_has_the_parts() -> None:
    document = json.loads(new("shop", "--scopes", "upload+read", "--json").stdout)

    assert document["key"] == f"shop:upload+read:{document['secret']}"
    assert (document["name"], document["scopes"]) == ("shop", ["upload", "read"])


@pytest.mark.parametrize(
    ("arguments", "reason"), [(["Shop"], "The key is not NAME"), (["shop", "--scopes", "all"], "The key has unknown")]
)
def test_wrong_name_or_scope_exits_with_2(arguments: list[str], reason: str) -> None:
    done = new(*arguments)

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(reason)


def test_secret_is_random_and_valid_for_every_setting_of_secrets() -> None:
    first, second = (CliRunner().invoke(app, ["keys", "secret"]).stdout.strip() for _ in range(2))
    document = json.loads(CliRunner().invoke(app, ["keys", "secret", "--json"]).stdout)

    assert len({first, second, document["secret"]}) == 3
    keys = first, second, document["secret"]
    settings = Settings(upload_keys=keys, signing_keys=keys, edge_secret=first)
    for read in (settings.upload_keys, settings.signing_keys):
        assert [key.get_secret_value() for key in read] == [*keys]


def test_help_names_the_settings_of_secrets() -> None:
    shown = CliRunner().invoke(app, ["keys", "secret", "--help"]).stdout

    assert all(name in shown for name in ("UPLOAD_KEYS", "SIGNING_KEYS", "EDGE_SECRET"))
