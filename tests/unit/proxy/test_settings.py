"""Settings from the environment, `.env` and `darkroom.toml`, and messages about mistakes."""

from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

import pytest
from pydantic import SecretStr

from proxy import system
from proxy.model import Fit, Format, Size
from proxy.settings import ApiKey, KeyScope, Needs, Settings, SettingsError, load_settings, share_memory


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*Settings.model_fields, "sizes"):
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def toml(text: str) -> None:
    Path("darkroom.toml").write_text(text, encoding="utf-8")


def without_numpy(name: str) -> ModuleSpec | None:
    return None if name == "numpy" else find_spec(name)


def mistakes() -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings()
    return sorted(line.split(":")[0] for line in str(caught.value).splitlines())


class TestDefaults:
    def test_defaults_match_the_contract(self) -> None:
        settings = load_settings()

        assert settings.data_dir == Path("data")
        assert settings.temporary == Path("data/tmp")
        assert settings.max_upload_mb == 10
        assert (settings.min_side, settings.max_side) == (100, 10_000)
        assert settings.render_timeout == 5
        assert settings.missing_ttl == 60
        assert settings.strip_metadata is True
        assert settings.background == "#ffffff"
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


class TestSizes:
    def test_sizes_in_toml_replace_the_defaults(self) -> None:
        toml("[sizes.hero]\nwidth = 1600\nheight = 900\n[sizes.tiny]\nwidth = 32\nheight = 32")

        assert list(load_settings().sizes) == ["hero", "tiny"]

    @pytest.mark.parametrize(
        ("table", "size"),
        [
            ("width = 30\nheight = 20", Size("x", 30, 20, Fit.COVER)),
            ("width = 30", Size("x", 30, None, Fit.INSIDE)),
            ("height = 20", Size("x", None, 20, Fit.INSIDE)),
            ('width = 30\nheight = 20\nfit = "inside"', Size("x", 30, 20, Fit.INSIDE)),
            ('width = 30\nheight = 20\nfit = "cover"', Size("x", 30, 20, Fit.COVER)),
            ('width = 30\nfit = "inside"', Size("x", 30, None, Fit.INSIDE)),
            ("width = 1\nheight = 5000", Size("x", 1, 5000, Fit.COVER)),
            ('width = 30\nquality = "auto"', Size("x", 30, None, Fit.INSIDE, auto_quality=True)),
        ],
    )
    def test_fit_defaults_to_cover_with_both_sides_and_to_inside_otherwise(self, table: str, size: Size) -> None:
        toml(f"[sizes.x]\n{table}")

        assert load_settings().sizes["x"] == size

    @pytest.mark.parametrize(
        ("warm", "formats"),
        [
            ("", None),
            ('warm = "auto"', None),
            ("warm = false", ()),
            ("warm = []", ()),
            ('warm = ["jpg"]', (Format.JPG,)),
            ('warm = ["avif", "png", "avif"]', (Format.PNG, Format.AVIF)),
            ('warm = ["jpg", "png", "webp", "avif"]', tuple(Format)),
        ],
    )
    def test_warm_names_formats_and_is_automatic_by_default(
        self, warm: str, formats: tuple[Format, ...] | None
    ) -> None:
        toml(f"[sizes.x]\nwidth = 30\n{warm}")

        assert load_settings().sizes["x"].warm == formats

    @pytest.mark.parametrize(
        ("warm", "shown"),
        [
            ("true", "true"),
            ("0", "0"),
            ('""', '""'),
            ('"jpg"', '"jpg"'),
            ('["jpeg", "webp"]', '["jpeg", "webp"]'),
            ('["JPG"]', '["JPG"]'),
            ('["auto"]', '["auto"]'),
            ("[false]", "[false]"),
            ('[["jpg"]]', '[["jpg"]]'),
            ("{jpg = true}", '{"jpg": true}'),
            ("2026-11-28", '"2026-11-28"'),
        ],
    )
    def test_invalid_warm_is_one_mistake_among_all(self, warm: str, shown: str) -> None:
        toml(f"[sizes.x]\nwidth = 0\nwarm = {warm}\n[sizes.y]\nheight = 0")

        with pytest.raises(SettingsError) as caught:
            load_settings()

        reason = f'give "auto", false or a list of jpg, png, webp, avif, not {shown}'
        assert f"sizes.x.warm: {reason}" in str(caught.value).splitlines()
        assert mistakes() == ["sizes.x.warm", "sizes.x.width", "sizes.y.height"]

    @pytest.mark.parametrize(
        ("table", "where", "reason"),
        [
            ("", "sizes.x", "give a width, a height or both"),
            ('fit = "inside"', "sizes.x", "give a width, a height or both"),
            ('width = 3\nfit = "cover"', "sizes.x", 'fit = "cover" needs both a width and a height'),
            ('height = 3\nfit = "cover"', "sizes.x", 'fit = "cover" needs both a width and a height'),
            ('width = 3\nfit = "contain"', "sizes.x.fit", "'cover' or 'inside'"),
            ("width = 0", "sizes.x.width", "greater than or equal to 1"),
            ("height = 5001", "sizes.x.height", "less than or equal to 5000"),
            ("width = 1.5", "sizes.x.width", "integer"),
            ("width = 3\ndepth = 3", "sizes.x.depth", "not permitted"),
            ('width = 3\nquality = "best"', "sizes.x.quality", "'auto'"),
            ("width = 3\nquality = 80", "sizes.x.quality", "'auto'"),
        ],
    )
    def test_invalid_size_is_reported_with_name_and_reason(self, table: str, where: str, reason: str) -> None:
        toml(f"[sizes.x]\n{table}")

        with pytest.raises(SettingsError) as caught:
            load_settings()

        assert str(caught.value).startswith(f"{where}: ")
        assert reason in str(caught.value)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("name", ["Small", "2x", "-a", "a_b", "a.b", "a b", "a@2x", "a/b", "..", "", "é", "a" * 33])
    def test_invalid_size_name_is_rejected(self, name: str) -> None:
        toml(f'[sizes."{name}"]\nwidth = 3')

        with pytest.raises(SettingsError, match=r"^sizes: .*lower-case letters, digits and hyphens"):
            load_settings()

    @pytest.mark.parametrize("name", ["a", "a-2", "hero", "a" * 32])
    def test_valid_size_name_is_accepted(self, name: str) -> None:
        toml(f"[sizes.{name}]\nwidth = 3")

        variant = load_settings().sizes.parse(f"{name}@3x.webp")

        assert variant is not None
        assert variant.name == f"{name}@3x.webp"

    def test_quality_is_fixed_by_default(self) -> None:
        toml('[sizes.one]\nwidth = 3\n[sizes.two]\nwidth = 3\nquality = "auto"\n[quality]\nscore = 72.5')

        settings = load_settings()

        assert [size.auto_quality for size in settings.sizes.values()] == [False, True]
        assert settings.quality.score == 72.5

    @pytest.mark.parametrize(
        ("score", "reason"),
        [("49", "greater than or equal to 50"), ("96", "less than or equal to 95"), ('"high"', "number")],
    )
    def test_score_out_of_range_is_reported_with_reason(self, score: str, reason: str) -> None:
        toml(f"[quality]\nscore = {score}")

        with pytest.raises(SettingsError, match=rf"^quality\.score: .*{reason}"):
            load_settings()

    def test_empty_size_table_is_rejected(self) -> None:
        toml("[sizes]")

        assert mistakes() == ["sizes"]


class TestUrls:
    @pytest.mark.parametrize("name", ["CDN_URL", "PUBLIC_URL", "S3_ENDPOINT_URL"])
    def test_trailing_slash_is_removed(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
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

        with pytest.raises(SettingsError) as caught:
            load_settings()

        assert str(caught.value).startswith(f"API_KEYS: {reason}")
        assert "hunter2" not in str(caught.value)

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
        monkeypatch.setenv(name, value)

        with pytest.raises(SettingsError, match=name):
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

        with pytest.raises(SettingsError) as caught:
            load_settings()

        assert "hunter2" not in str(caught.value)
        assert mistakes() == ["API_KEYS", "DATABASE_URL"]


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

        with pytest.raises(SettingsError) as caught:
            load_settings()

        for name in ("MIN_SIDE", "AWS_SECRET_ACCESS_KEY", "MAX_WAITING"):
            assert name in str(caught.value)

    def test_min_side_above_max_side_is_rejected(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MIN_SIDE", "500")
        monkeypatch.setenv("MAX_SIDE", "499")

        with pytest.raises(SettingsError, match="MIN_SIDE is larger than MAX_SIDE"):
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

        with pytest.raises(SettingsError) as caught:
            load_settings()

        assert "8 idle processes hold 512 MiB: RENDER_MEMORY_MB=500 is too little" in str(caught.value)
        assert "set at least 576" in str(caught.value)
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


class TestAutoQuality:
    def test_sizes_that_need_missing_numpy_are_all_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(system, "find_spec", without_numpy)
        toml(
            '[sizes.card]\nwidth = 3\nquality = "auto"\n[sizes.tiny]\nwidth = 3\n'
            '[sizes.hero]\nwidth = 3\nquality = "auto"'
        )

        with pytest.raises(SettingsError) as caught:
            load_settings().check_auto_quality()

        assert str(caught.value) == (
            'sizes: quality = "auto" of card, hero needs numpy, which is not installed. '
            "Run pip install 'darkroom-origin[auto-quality]', or remove quality = \"auto\" to use a fixed quality."
        )

    def test_fixed_qualities_need_no_numpy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(system, "find_spec", without_numpy)

        load_settings().check_auto_quality()

    def test_installed_numpy_is_found_without_importing_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        toml('[sizes.card]\nwidth = 3\nquality = "auto"')
        asked = []
        monkeypatch.setattr(system, "find_spec", lambda name: asked.append(name) or find_spec(name))

        load_settings().check_auto_quality()

        assert asked == ["numpy"]


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
    def test_bucket_that_is_not_a_name_is_refused_with_what_to_write(
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
    def test_one_machine_needs_none(self, monkeypatch: pytest.MonkeyPatch, unset: str) -> None:
        monkeypatch.setenv("S3_BUCKET", "pictures")
        monkeypatch.setenv("REDIS_URL", "redis://cache")
        monkeypatch.delenv(unset)

        load_settings(needs=Needs(database=True))

    def test_needs_are_listed_with_the_other_mistakes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(system, "find_spec", without_numpy)
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
