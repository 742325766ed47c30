"""Where settings come from: variables, files that variables name, `.env`, the TOML file; and misspelt variables."""

import os
from pathlib import Path

import pytest

from proxy.settings import Settings, load_settings, read_settings_sources
from tests.unit.proxy.settings.toml_file import refusal


def cannot_read(folder: str) -> str:
    return f"user {os.getuid()}, group {os.getgid()} cannot read {Path(folder).absolute()} (Is a directory)"


class TestFiles:
    @pytest.mark.parametrize("content", ["redis://cache/1", "redis://cache/1\n", " \t redis://cache/1 \r\n\n"])
    def test_value_is_read_from_the_named_file(self, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
        Path("secret").write_text(content)
        monkeypatch.setenv("REDIS_URL_FILE", "secret")

        settings = load_settings()

        assert settings.redis_url is not None
        assert settings.redis_url.get_secret_value() == "redis://cache/1"
        assert read_settings_sources().origins == {"redis_url": "REDIS_URL_FILE"}

    @pytest.mark.parametrize(
        "name", sorted(Settings.model_fields.keys() - {"quality", "size_tables", "widths", "darkroom_config"})
    )
    def test_every_setting_may_be_in_a_file(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        Path("value").write_text("x\n")
        monkeypatch.setenv(f"{name.upper()}_FILE", "value")

        assert read_settings_sources().values == {name: "x"}

    def test_variable_and_file_together_are_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        Path("secret").write_text("one")
        monkeypatch.setenv("API_KEYS", "two")
        monkeypatch.setenv("API_KEYS_FILE", "secret")

        assert "API_KEYS: set either API_KEYS or API_KEYS_FILE, not both" in refusal().splitlines()

    def test_file_of_the_environment_overrides_dotenv(self, monkeypatch: pytest.MonkeyPatch) -> None:
        Path(".env").write_text("LOG_LEVEL=debug\nLOG_FORMAT_FILE=format\n")
        Path("level").write_text("error")
        Path("format").write_text("json")
        monkeypatch.setenv("LOG_LEVEL_FILE", "level")

        assert (load_settings().log_level, load_settings().log_format) == ("error", "json")
        assert read_settings_sources().origins == {
            "log_level": "LOG_LEVEL_FILE",
            "log_format": "LOG_FORMAT_FILE in .env",
        }

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (None, "the file cannot be read (No such file or directory)"),
            (b"", "the file is empty"),
            (b" \n", "the file is empty"),
            (b"\xff", "the file is not text in UTF-8"),
            (b"x" * 65_537, "the file is longer than 64 KiB"),
        ],
    )
    def test_unusable_file_is_a_mistake_without_its_name(
        self, monkeypatch: pytest.MonkeyPatch, content: bytes | None, reason: str
    ) -> None:
        if content is not None:
            Path("hunter2").write_bytes(content)
        monkeypatch.setenv("API_KEYS_FILE", "hunter2")

        assert refusal().splitlines() == [f"API_KEYS_FILE: {reason}"]


class TestVariables:
    @pytest.mark.parametrize("value", ["json\n", " json", "json \r\n"])
    def test_white_space_around_a_value_is_removed(self, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
        monkeypatch.setenv("LOG_FORMAT", value)

        assert load_settings().log_format == "json"

    def test_origin_of_each_value_is_known(self, monkeypatch: pytest.MonkeyPatch) -> None:
        Path("darkroom.toml").write_text("max_waiting = 1\nmin_side = 1\n[quality]\njpg = 80\n")
        Path(".env").write_text("MAX_WAITING=2\nMISSING_TTL=2\n")
        monkeypatch.setenv("MISSING_TTL", "3")

        assert read_settings_sources().origins == {
            "max_waiting": ".env",
            "missing_ttl": "environment",
            "min_side": "darkroom.toml",
            "quality": "darkroom.toml",
        }

    @pytest.mark.parametrize(
        ("variables", "url", "origin"),
        [
            ({"AWS_ENDPOINT_URL": "http://a"}, "http://a", "AWS_ENDPOINT_URL"),
            ({"AWS_ENDPOINT_URL_S3": "http://b", "AWS_ENDPOINT_URL": "http://a"}, "http://b", "AWS_ENDPOINT_URL_S3"),
            ({"S3_ENDPOINT_URL": "http://c", "AWS_ENDPOINT_URL_S3": "http://b"}, "http://c", "environment"),
            ({"AWS_ENDPOINT_URL": "http://a", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "True"}, None, None),
        ],
    )
    def test_endpoint_of_boto3_is_that_of_the_bucket(
        self, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str | None, origin: str | None
    ) -> None:
        for name, value in (variables | {"S3_BUCKET": "media"}).items():
            monkeypatch.setenv(name, value)

        assert load_settings().s3_endpoint_url == url
        assert read_settings_sources().origins.get("s3_endpoint_url") == origin

    @pytest.mark.parametrize(
        ("variable", "near"),
        [
            ("S3_BUKCET", "S3_BUCKET"),
            ("API_KEY", "API_KEYS"),
            ("API_KEY_FILE", "API_KEYS_FILE"),
            ("REDIS_URI", "REDIS_URL"),
            ("DATABSE_URL", "DATABASE_URL"),
            ("DATABASE_URLL", "DATABASE_URL"),
            ("data_dir", "DATA_DIR"),
            ("CDN-URL", "CDN_URL"),
            ("DARKROOM_CONFIG_FILE", "DARKROOM_CONFIG"),
            ("api_keys_file", "API_KEYS_FILE"),
            ("HOT_CACHE_MB", "MEMORY_CACHE_MB"),
            ("HOT_CACHE_MB_FILE", "MEMORY_CACHE_MB_FILE"),
        ],
    )
    def test_misspelt_variable_is_named_with_the_right_name(
        self, monkeypatch: pytest.MonkeyPatch, variable: str, near: str
    ) -> None:
        monkeypatch.setenv(variable, "x")

        assert read_settings_sources().misspelt == {variable: near}

    def test_variable_without_a_name_is_ignored(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("proxy.settings.sources.os.environ", {"": "x"})

        assert read_settings_sources().misspelt == {}

    def test_old_name_in_the_file_is_refused_with_the_new_name(self) -> None:
        Path("darkroom.toml").write_text("hot_cache_mb = 64\n")

        [mistake] = read_settings_sources().mistakes
        assert mistake == "hot_cache_mb: not a setting of darkroom.toml; it is memory_cache_mb now"

    def test_misspelt_variable_in_dotenv_is_found(self) -> None:
        Path(".env").write_text("S3_BUCKETS=x\n")

        assert read_settings_sources().misspelt == {"S3_BUCKETS": "S3_BUCKET"}

    @pytest.mark.parametrize(
        "variable",
        [
            *("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_CONFIG_FILE"),
            *("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_SHARED_CREDENTIALS_FILE", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
            *("OTEL_EXPORTER_OTLP_HEADERS", "REDIS_PORT", "REDIS_HOST", "DATABASE_NAME", "LOG_FILE", "PGSSLMODE"),
            *("HOME", "PATH", "PORT", "HOST", "XDG_DATA_DIRS", "PUBLIC_KEY", "POSTGRES_PASSWORD", "RENDER_SERVICE_ID"),
        ],
    )
    def test_variable_of_other_programs_is_left_alone(self, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
        monkeypatch.setenv(variable, "x")

        assert read_settings_sources().misspelt == {}
        assert load_settings() == Settings()

    def test_line_of_dotenv_that_sets_nothing_is_a_mistake_without_its_text(
        self, capfd: pytest.CaptureFixture[str]
    ) -> None:
        Path(".env").write_text("# keys\nLOG_LEVEL=xml\n\n\nAPI_KEYS hunter2\nexport LOG_FORMAT='json'\n\nDATA_DIR\n")

        assert refusal().splitlines() == [
            ".env: line 5 is not NAME=VALUE",
            "LOG_LEVEL: give 'debug', 'info', 'warning' or 'error'",
        ]
        assert read_settings_sources().values["log_format"] == "json"
        assert capfd.readouterr() == ("", "")

    def test_unreadable_dotenv_is_a_mistake(self) -> None:
        Path(".env").write_bytes(b"LOG_LEVEL=\xff\n")

        assert refusal().splitlines() == [".env: not text in UTF-8"]

    def test_unreadable_dotenv_is_a_mistake_that_names_folder_and_user(self) -> None:
        Path(".env").mkdir()

        assert refusal().splitlines() == [f".env: {cannot_read('.env')}"]


class TestConfigFile:
    def test_variable_names_the_toml_file(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        (folder / "elsewhere").mkdir()
        (folder / "elsewhere" / "sizes.toml").write_text("[sizes.hero]\nwidth = 30\n")
        (folder / "darkroom.toml").write_text("[sizes.other]\nwidth = 30\n")
        monkeypatch.setenv("DARKROOM_CONFIG", "elsewhere/sizes.toml")

        assert list(load_settings().sizes) == ["hero"]
        assert read_settings_sources().origins["sizes"] == "elsewhere/sizes.toml"

    def test_missing_named_file_is_a_mistake(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DARKROOM_CONFIG", "sizes.toml")

        assert refusal().splitlines() == ["DARKROOM_CONFIG: there is no file sizes.toml"]

    def test_directory_is_a_mistake(self, monkeypatch: pytest.MonkeyPatch) -> None:
        Path("sizes.toml").mkdir()
        monkeypatch.setenv("DARKROOM_CONFIG", "sizes.toml")

        assert refusal().splitlines() == [f"sizes.toml: {cannot_read('sizes.toml')}"]

    def test_toml_file_cannot_name_another_file(self) -> None:
        Path("darkroom.toml").write_text('darkroom_config = "other.toml"\n')

        assert refusal().splitlines() == ["darkroom_config: not a setting of darkroom.toml"]


def test_mistakes_of_every_source_are_in_one_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEYS_FILE", "nowhere")
    monkeypatch.setenv("LOG_FORMAT", "xml")
    monkeypatch.setenv("SIZES", "10")
    Path(".env").write_text("REDIS_URL=redis://:hunter2@\n")
    Path("darkroom.toml").write_text("[sizes\n")

    assert [line.split(":")[0] for line in refusal().splitlines()] == [
        "API_KEYS_FILE",
        "SIZES",
        "darkroom.toml",
        "REDIS_URL",
        "LOG_FORMAT",
    ]
