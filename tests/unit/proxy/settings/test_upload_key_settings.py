"""Keys of upload tickets, and the origins that may use them."""

import pytest

from proxy.settings import SettingsError, load_settings


class TestUploadKeysAndOrigins:
    def test_keys_and_origins_are_split_at_commas(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("UPLOAD_KEYS", f"{'n' * 32}, {'o' * 32}")
        monkeypatch.setenv("CORS_ORIGINS", "https://shop.example, http://localhost:3000,http://[::1]:8080")

        settings = load_settings()

        assert [key.get_secret_value() for key in settings.upload_keys] == ["n" * 32, "o" * 32]
        assert settings.cors_origins == ("https://shop.example", "http://localhost:3000", "http://[::1]:8080")

    @pytest.mark.parametrize("key", ["hunter2" * 4, "hunter2 " * 5, "hunter2é" * 5])
    def test_short_or_unclear_key_stops_the_start_without_being_shown(
        self, monkeypatch: pytest.MonkeyPatch, key: str
    ) -> None:
        monkeypatch.setenv("UPLOAD_KEYS", key)

        with pytest.raises(
            SettingsError, match=r"UPLOAD_KEYS: a key needs at least 32 .*`darkroom keys secret`"
        ) as caught:
            load_settings()
        assert "hunter2" not in str(caught.value)

    @pytest.mark.parametrize(
        "origin",
        [
            *("*", "null", "https://*.shop.example", "shop.example", "https://shop.example/", "https://Shop.example"),
            *("https://shop.example/path", "ftp://shop.example", "https://a@shop.example", "https://", "https://a..b"),
        ],
    )
    def test_anything_but_an_exact_origin_stops_the_start(self, monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
        monkeypatch.setenv("CORS_ORIGINS", f"https://shop.example,{origin}")

        with pytest.raises(SettingsError, match="CORS_ORIGINS: give a scheme and a host in lower case"):
            load_settings()
