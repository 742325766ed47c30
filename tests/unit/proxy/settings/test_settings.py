"""Settings from the environment, `.env` and `darkroom.toml`, and messages about mistakes."""

import re
from pathlib import Path

import pytest

from proxy import system
from proxy.model import ColorSpace, Fit, Size
from proxy.settings import Settings, SettingsError, load_settings, share_memory
from tests.unit.proxy.settings.toml_file import mistakes, refusal, toml


class TestDefaults:
    def test_defaults_are_the_documented_ones(self) -> None:
        settings = load_settings()

        assert settings.data_dir == Path("data")
        assert settings.temporary == Path("data/tmp")
        assert settings.max_upload_mb == 10
        assert (settings.min_side, settings.max_side) == (100, 10_000)
        assert settings.render_timeout == 5
        assert settings.render_originals_per_process == 100
        assert settings.missing_ttl == 60
        assert settings.strip_metadata is True
        assert settings.background == "#ffffff"
        assert settings.color_space is ColorSpace.SRGB
        assert settings.quality.model_dump() == {"jpg": 82, "webp": 85, "avif": 67, "score": 80}
        assert settings.api_keys == ()
        assert settings.url_base == ""
        assert settings.s3_bucket is None
        assert settings.aws_access_key_id is None
        assert settings.aws_secret_access_key is None
        assert settings.database_url is None

    def test_render_processes_default_to_usable_processors(self) -> None:
        assert load_settings(render_memory_mb=1 << 20).render_processes == system.processors()

    @pytest.mark.parametrize(
        ("memory_mb", "budget_mb", "processes"),
        [(64_000, 32_000, 8), (3000, 1500, 5), (1024, 512, 2), (700, 350, 1), (64, 128, 1)],
    )
    def test_render_memory_defaults_to_half_and_limits_the_processes(
        self, monkeypatch: pytest.MonkeyPatch, memory_mb: int, budget_mb: int, processes: int
    ) -> None:
        monkeypatch.setattr(system, "memory", lambda: memory_mb << 20)
        monkeypatch.setattr(system, "processors", lambda: 8)

        settings = load_settings()

        assert (settings.render_memory_mb, settings.render_processes) == (budget_mb, processes)

    def test_default_sizes_are_three_cover_squares(self) -> None:
        assert list(load_settings().sizes.values()) == [
            Size("small", 150, 150, Fit.COVER),
            Size("medium", 400, 400, Fit.COVER),
            Size("large", 800, 800, Fit.COVER),
        ]


class TestSources:
    def test_environment_overrides_dotenv_which_overrides_toml(self, monkeypatch: pytest.MonkeyPatch) -> None:
        toml('max_waiting = 1\nmin_side = 1\nmax_side = 1000\npublic_url = "https://toml.test"')
        Path(".env").write_text("MAX_WAITING=2\nMIN_SIDE=2\n", encoding="utf-8")
        monkeypatch.setenv("MAX_WAITING", "3")

        settings = load_settings()

        assert (settings.max_waiting, settings.min_side, settings.max_side) == (3, 2, 1000)
        assert settings.public_url == "https://toml.test"

    def test_arguments_override_all_sources(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MAX_WAITING", "3")

        assert load_settings(max_waiting=4).max_waiting == 4

    @pytest.mark.parametrize("name", ["DATA_DIR", "S3_BUCKET", "MAX_WAITING", "API_KEYS", "CDN_URL", "LOG_LEVEL"])
    def test_empty_variable_counts_as_unset(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        monkeypatch.setenv(name, "")

        assert load_settings() == Settings()
        assert getattr(load_settings(), name.lower()) == Settings.model_fields[name.lower()].default

    def test_empty_aws_key_pair_counts_as_unset(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "")

        assert load_settings().aws_access_key_id is None

    def test_unknown_variables_are_ignored(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EDITOR", "ed")
        Path(".env").write_text("COMPOSE_PROJECT_NAME=x\n", encoding="utf-8")

        assert load_settings() == Settings()


SSE = "give AES256, aws:kms or aws:kms:KEY-ID, in this spelling. KEY-ID is the key's id or ARN"


class TestMistakes:
    def test_all_mistakes_are_listed_one_per_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        wrong = {
            "MAX_UPLOAD_MB": "0",
            "MAX_SIDE": "20000",
            "RENDER_TIMEOUT": "soon",
            "RENDER_PROCESSES": "-1",
            "MISSING_TTL": "-1",
            "BACKGROUND": "white",
            "LOG_FORMAT": "xml",
            "STRIP_METADATA": "perhaps",
            "CDN_URL": "cdn.test",
        }
        for name, value in wrong.items():
            monkeypatch.setenv(name, value)
        toml("[quality]\njpg = 101\n[sizes.x]\nwidth = 0\n")

        assert mistakes() == sorted([*wrong, "quality.jpg", "sizes.x.width"])

    def test_mistakes_between_two_settings_are_listed_with_the_others(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MIN_SIDE", "500")
        monkeypatch.setenv("MAX_SIDE", "400")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "half")
        monkeypatch.setenv("MAX_WAITING", "0")

        for name in ("MIN_SIDE", "AWS_SECRET_ACCESS_KEY", "MAX_WAITING"):
            assert name in refusal()

    @pytest.mark.parametrize(
        ("name", "value", "advice"),
        [
            ("S3_SSE", "aes256", SSE),
            ("S3_SSE", "aws:kms:", SSE),
            ("S3_ADDRESSING", "host", "give 'path' or 'virtual'"),
            ("QUEUE_PREFIX", "a:b", "give letters, digits, hyphens, underscores and braces only"),
            ("CDN_DISTRIBUTION_ID", "abc", "give the distribution's id, such as E2QWRUHAPOMQZL"),
            ("BACKGROUND", "white", "give a number sign and six hexadecimal digits, such as #ffffff"),
            ("MAX_UPLOAD_MB", "10MB", "give a whole number"),
            ("MAX_UPLOAD_MB", "0", "give at least 1"),
            ("GC_MAX_SHARE", "5%", "give a number"),
            ("GC_MAX_SHARE", "5", "give at most 1"),
            ("RENDER_TIMEOUT", "0", "give more than 0"),
            ("WARM_UP", "ja", "give true or false"),
            ("LOG_LEVEL", "WARN", "give 'debug', 'info', 'warning' or 'error'"),
        ],
    )
    def test_mistake_names_the_expected_value(
        self, monkeypatch: pytest.MonkeyPatch, name: str, value: str, advice: str
    ) -> None:
        monkeypatch.setenv("S3_BUCKET", "bucket")
        monkeypatch.setenv(name, value)

        assert refusal() == f"{name}: {advice}"

    @pytest.mark.parametrize(
        ("name", "refused"),
        [
            (name.upper(), f"{getattr(constraint, kind) + step}")
            for name, field in Settings.model_fields.items()
            for constraint in field.metadata
            for kind, step in (("ge", -1), ("le", 1))
            if hasattr(constraint, kind)
        ],
    )
    def test_bound_that_a_mistake_names_is_accepted(
        self, monkeypatch: pytest.MonkeyPatch, name: str, refused: str
    ) -> None:
        monkeypatch.setenv(name, refused)
        advice = re.search(f"^{name}: give at (?:least|most) (.*)$", refusal(), re.MULTILINE)
        assert advice

        monkeypatch.setenv(name, advice[1])

        monkeypatch.setenv("LOG_FORMAT", "xml")
        assert mistakes() == ["LOG_FORMAT"]

    def test_min_side_above_max_side_is_rejected(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MIN_SIDE", "500")
        monkeypatch.setenv("MAX_SIDE", "499")

        with pytest.raises(SettingsError, match="MAX_SIDE: it is smaller than MIN_SIDE"):
            load_settings()

    @pytest.mark.parametrize("text", ["[sizes", "width == 3", "\x00"])
    def test_toml_syntax_error_names_the_file(self, text: str) -> None:
        toml(text)

        with pytest.raises(SettingsError, match=r"darkroom\.toml"):
            load_settings()

    @pytest.mark.parametrize("name", ["QUALITY", "SIZES"])
    def test_mistake_in_table_from_environment_names_the_variable(
        self, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.setenv(name, "high")

        with pytest.raises(SettingsError, match=f"(?i){name}"):
            load_settings()


class TestMemory:
    def test_too_little_render_memory_is_reported_with_the_minimum(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RENDER_MEMORY_MB", "500")
        monkeypatch.setenv("RENDER_PROCESSES", "8")
        monkeypatch.setenv("MAX_WAITING", "0")

        message = refusal()

        assert "8 idle processes hold 512 MiB: RENDER_MEMORY_MB=500 is too little" in message
        assert "set at least 576" in message
        assert mistakes() == ["MAX_WAITING", "RENDER_PROCESSES"]

        monkeypatch.setenv("MAX_WAITING", "1")
        monkeypatch.setenv("RENDER_MEMORY_MB", "576")
        assert load_settings().render_memory_mb == 576

    def test_non_numeric_render_memory_is_a_single_mistake(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RENDER_MEMORY_MB", "plenty")

        assert mistakes() == ["RENDER_MEMORY_MB"]

    def test_render_memory_is_divided_among_server_processes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RENDER_MEMORY_MB", "1000")
        monkeypatch.setattr(system, "processors", lambda: 8)

        share_memory(load_settings(), 3)

        settings = load_settings()
        assert (settings.render_memory_mb, settings.render_processes) == (333, 1)

    def test_divided_render_memory_replaces_that_of_a_file(self, monkeypatch: pytest.MonkeyPatch) -> None:
        Path("memory").write_text("1000")
        monkeypatch.setenv("RENDER_MEMORY_MB_FILE", "memory")
        monkeypatch.setenv("RENDER_MEMORY_MB", "")  # restored after the test

        share_memory(load_settings(), 3)

        assert load_settings().render_memory_mb == 333

    def test_too_little_render_memory_per_server_is_rejected(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RENDER_MEMORY_MB", "1000")
        monkeypatch.setenv("RENDER_PROCESSES", "4")
        settings = load_settings()

        with pytest.raises(SettingsError, match=r"^Each of 4 workers has RENDER_MEMORY_MB=250\.\nRENDER_PROCESSES: 4 "):
            share_memory(settings, 4)
