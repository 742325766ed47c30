"""Which library decodes PNG and WebP."""

import pytest

from proxy.imaging import vips


@pytest.fixture(params=["libvips", "pillow"])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs a test with either. The lock files have libvips; where it is not installed, Pillow does it all."""
    assert vips.is_installed()
    if request.param == "pillow":
        monkeypatch.setattr(vips, "is_installed", lambda: False)
    return str(request.param)
