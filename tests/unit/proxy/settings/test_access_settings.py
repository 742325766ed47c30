"""Keys, secrets, URLs, and what a command binds and stores."""

import pytest
from pydantic import SecretStr

from proxy import system
from proxy.settings import ApiKey, KeyScope, Needs, SettingsError, load_settings
from tests.unit.proxy.settings.toml_file import mistakes, refusal, toml


class TestKeys:
    @pytest.mark.parametrize(
        ("text", "keys"),
        [
            ("a" * 16, ["a" * 16]),
            ("1" * 16 + "," + "2" * 16, ["1" * 16, "2" * 16]),
            (f" {'1' * 16} , with space inside it ,,", ["1" * 16, "with space inside it"]),
            ("1" * 16 + "\n" + "2" * 16 + "\n", ["1" * 16, "2" * 16]),
            (",", []),
            (" ", []),
        ],
    )
    def test_api_keys_are_split_at_commas_and_lines(
        self, monkeypatch: pytest.MonkeyPatch, text: str, keys: list[str]
    ) -> None:
        monkeypatch.setenv("API_KEYS", text)

        assert [key.secret.get_secret_value() for key in load_settings().api_keys] == keys

    def test_api_keys_may_be_a_list_in_toml(self) -> None:
        toml(f'api_keys = ["{"a" * 16}", "shop:read+upload:{"b:" * 8}"]')

        default, shop = load_settings().api_keys
        assert default == ApiKey("default", frozenset({KeyScope.ADMIN}), SecretStr("a" * 16))
        assert shop == ApiKey("shop", frozenset({KeyScope.READ, KeyScope.UPLOAD}), SecretStr("b:" * 8))
        assert str(shop) == "shop:upload+read:(hidden)"

    def test_keys_of_a_rotation_share_a_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("API_KEYS", f"shop:upload:{'a' * 16},shop:upload:{'b' * 16}")

        assert [key.name for key in load_settings().api_keys] == ["shop", "shop"]

    @pytest.mark.parametrize(
        ("keys", "reason"),
        [
            ("hunter2hunter2", "key 1 has a secret of fewer than 16 characters: darkroom keys new prints one"),
            ("shop:read:hunter2hunter2", "key 1 has a secret of fewer than 16 characters"),
            ("shop:read: hunter2hunter2hunter2", "key 1 has a secret with spaces around it"),
            ("hunter2hunter2\thunter2", "key 1 has a secret with spaces around it, or with characters that cannot be"),
            (f"{'a' * 16},shop:hunter2hunter2hunter2", "key 2 is not NAME:SCOPES:SECRET"),
            ("Shop!:read:hunter2hunter2hunter2", "key 1 is not NAME:SCOPES:SECRET"),
            (":read:hunter2hunter2hunter2", "key 1 is not NAME:SCOPES:SECRET"),
            ("shop:hunter2:hunter2hunter2hunter2", "key 1 has unknown scopes: write upload, read, delete, admin"),
            ("shop::hunter2hunter2hunter2", "key 1 has unknown scopes"),
            ("a:read:hunter2hunter2hunter2,b:read:hunter2hunter2hunter2", "two keys have the same secret"),
        ],
    )
    def test_wrong_api_key_is_numbered_without_its_secret(
        self, monkeypatch: pytest.MonkeyPatch, keys: str, reason: str
    ) -> None:
        monkeypatch.setenv("API_KEYS", keys)

        message = refusal()

        assert message.startswith(f"API_KEYS: {reason}")
        assert "hunter2" not in message

    def test_wrong_api_keys_are_all_listed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("API_KEYS", f"short,{'a' * 16},shop:half")

        with pytest.raises(SettingsError, match=r"^API_KEYS: key 1 has [^;]*; key 3 is not [^;]*$"):
            load_settings()

    @pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
    def test_incomplete_aws_key_pair_is_rejected(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        monkeypatch.setenv(name, "half")

        with pytest.raises(SettingsError, match=r"set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither"):
            load_settings()

    def test_session_token_without_its_keys_is_rejected(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_SESSION_TOKEN", "hunter2")

        with pytest.raises(SettingsError, match="it belongs to AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
            load_settings()

    @pytest.mark.parametrize(
        ("given", "prefix"), [("", ""), ("/", ""), ("darkroom", "darkroom/"), ("/team/a/", "team/a/")]
    )
    def test_s3_prefix_ends_with_one_slash(self, monkeypatch: pytest.MonkeyPatch, given: str, prefix: str) -> None:
        monkeypatch.setenv("S3_BUCKET", "pictures")
        monkeypatch.setenv("S3_PREFIX", given)

        assert load_settings().s3_prefix == prefix

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("S3_PREFIX", "a//b"),
            ("S3_PREFIX", "../b"),
            ("S3_PREFIX", "a b"),
            ("S3_SSE", "aws"),
            ("S3_SSE", "AES256:k"),
            ("S3_ADDRESSING", "auto"),
        ],
    )
    def test_odd_s3_option_is_rejected(self, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
        monkeypatch.setenv("S3_BUCKET", "pictures")
        monkeypatch.setenv(name, value)

        with pytest.raises(SettingsError, match=name):
            load_settings()

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("S3_ENDPOINT_URL", "http://s3:8333"),
            ("S3_PREFIX", "darkroom/"),
            ("S3_ADDRESSING", "virtual"),
            ("S3_SSE", "AES256"),
        ],
    )
    def test_s3_option_without_bucket_is_rejected(self, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
        monkeypatch.setenv(name, value)

        with pytest.raises(SettingsError, match=f"^{name}: it is for a bucket, .*: set S3_BUCKET$"):
            load_settings()

    def test_secrets_are_hidden_in_repr_str_and_dump(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("API_KEYS", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "hunter2" * 3)
        monkeypatch.setenv("DATABASE_URL", "postgresql+asyncpg://user:hunter2@db/darkroom")

        settings = load_settings()

        for shown in (repr(settings), str(settings), repr(settings.model_dump()), settings.model_dump_json()):
            assert "hunter2" not in shown
        assert settings.api_keys[0].secret.get_secret_value() == "hunter2" * 3

    def test_secrets_are_hidden_in_error_messages(self) -> None:
        toml('api_keys = [["hunter2"]]\ndatabase_url = ["hunter2"]')

        assert "hunter2" not in refusal()
        assert mistakes() == ["API_KEYS", "DATABASE_URL"]


class TestUrls:
    @pytest.mark.parametrize("name", ["CDN_URL", "PUBLIC_URL", "S3_ENDPOINT_URL"])
    def test_trailing_slash_is_removed(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        monkeypatch.setenv("S3_BUCKET", "pictures")
        monkeypatch.setenv(name, "https://cdn.test/pictures/")

        assert getattr(load_settings(), name.lower()) == "https://cdn.test/pictures"

    @pytest.mark.parametrize("name", ["CDN_URL", "PUBLIC_URL", "S3_ENDPOINT_URL"])
    @pytest.mark.parametrize(
        "url",
        [
            "cdn.test",
            "//cdn.test",
            "ftp://cdn.test",
            "https://user:password@cdn.test",
            "https://",
            "https://a b",
            "https://a?x=1",
            "https://a#x",
            'https://"',
        ],
    )
    def test_malformed_base_url_is_rejected(self, monkeypatch: pytest.MonkeyPatch, name: str, url: str) -> None:
        monkeypatch.setenv(name, url)

        assert mistakes() == [name]

    def test_url_without_host_is_rejected(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CDN_URL", "https:///")

        assert mistakes() == ["CDN_URL"]

    def test_cdn_url_takes_precedence_over_public_url(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PUBLIC_URL", "https://origin.test/")
        assert load_settings().url_base == "https://origin.test"

        monkeypatch.setenv("CDN_URL", "https://cdn.test")
        assert load_settings().url_base == "https://cdn.test"


class TestBind:
    @pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
    def test_loopback_needs_no_key(self, host: str) -> None:
        load_settings(needs=Needs(host=host))

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "darkroom.test", "localhost.test", ""])
    def test_other_addresses_need_a_key(self, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
        with pytest.raises(SettingsError, match=r"^API_KEYS: .*set API_KEYS"):
            load_settings(needs=Needs(host=host))

        monkeypatch.setenv("API_KEYS", "k" * 16)
        load_settings(needs=Needs(host=host))


class TestStorage:
    @pytest.mark.parametrize("bucket", ["pictures", "My_old.bucket-1", "arn:aws:s3:eu-west-1:1234:accesspoint/one"])
    def test_bucket_is_a_name(self, monkeypatch: pytest.MonkeyPatch, bucket: str) -> None:
        monkeypatch.setenv("S3_BUCKET", bucket)

        assert load_settings().s3_bucket == bucket

    @pytest.mark.parametrize(
        ("bucket", "advice"),
        [
            ("s3://pictures", "name alone, without scheme and path: pictures"),
            ("s3://pictures/a/", "name alone, without scheme and path: pictures"),
            ("pictures/a", "name alone, without scheme and path: pictures"),
            ("https://pictures.s3.amazonaws.com", "name alone: letters, digits"),
            ("my pictures", "name alone: letters, digits"),
            ("/", "name alone: letters, digits"),
        ],
    )
    def test_bucket_that_is_not_a_name_is_refused_with_the_expected_form(
        self, monkeypatch: pytest.MonkeyPatch, bucket: str, advice: str
    ) -> None:
        monkeypatch.setenv("S3_BUCKET", bucket)

        with pytest.raises(SettingsError, match=f"^S3_BUCKET: give the bucket's {advice}"):
            load_settings()

    def test_several_machines_need_a_shared_database(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("S3_BUCKET", "pictures")
        monkeypatch.setenv("REDIS_URL", "redis://cache")

        with pytest.raises(SettingsError, match=r"^REDIS_URL: .*Set DATABASE_URL"):
            load_settings(needs=Needs(database=True))

        load_settings(needs=Needs(database=False))
        monkeypatch.setenv("DATABASE_URL", "postgres://db")
        load_settings(needs=Needs(database=True))

    @pytest.mark.parametrize("unset", ["S3_BUCKET", "REDIS_URL"])
    def test_one_machine_needs_no_shared_store(self, monkeypatch: pytest.MonkeyPatch, unset: str) -> None:
        monkeypatch.setenv("S3_BUCKET", "pictures")
        monkeypatch.setenv("REDIS_URL", "redis://cache")
        monkeypatch.delenv(unset)

        load_settings(needs=Needs(database=True))

    def test_needs_are_listed_with_the_other_mistakes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(system, "find_spec", lambda _name: None)
        monkeypatch.setenv("S3_BUCKET", "pictures")
        monkeypatch.setenv("REDIS_URL", "redis://cache")
        monkeypatch.setenv("LOG_FORMAT", "xml")
        toml('[sizes.card]\nwidth = 3\nquality = "auto"')

        with pytest.raises(SettingsError) as caught:
            load_settings(needs=Needs(rendering=True, database=True, host="0.0.0.0"))

        names = [line.split(":")[0] for line in str(caught.value).splitlines()]
        assert names == ["REDIS_URL", "API_KEYS", "LOG_FORMAT", "sizes"]

    def test_invalid_database_url_is_one_mistake(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("S3_BUCKET", "pictures")
        monkeypatch.setenv("REDIS_URL", "redis://cache")
        monkeypatch.setenv("DATABASE_URL", "postgres://u:hunter2@")

        with pytest.raises(SettingsError) as caught:
            load_settings(needs=Needs(database=True))

        assert str(caught.value) == "DATABASE_URL: it names no host"
