"""Chromium shows variants in Display P3 by the profile that they carry."""

from collections.abc import Iterator

import pytest
from PIL import Image
from playwright.sync_api import Browser

from proxy.model import Format
from tests.browser.conftest import PATIENCE, small_service
from tests.http_client import http
from tests.icc_profiles import DISPLAY_P3
from tests.pictures import png
from tests.service import Service

GREEN, GREEN_OF_SRGB = (0, 255, 0), (117, 251, 76)  # in Display P3
LOSSY = 4  # levels

READ = """async ([url, colorSpace]) => {
    const image = new Image()
    image.src = url
    await image.decode()
    const canvas = document.createElement("canvas")
    canvas.width = canvas.height = 8
    const context = canvas.getContext("2d", {colorSpace})
    context.drawImage(image, 0, 0)
    return [...context.getImageData(4, 4, 1, 1, {colorSpace}).data].slice(0, 3)
}"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    with small_service(folder, WARM_UP="false", COLOR_SPACE="display-p3") as running:
        yield running


def uploaded(service: Service, profile: bytes | None) -> str:
    original = png(Image.new("RGB", (120, 120), GREEN), icc_profile=profile)
    answer = http.post(f"{service.url}/images/upload", files={"image": ("green.png", original)})
    assert answer.status_code == 201, answer.text
    return f"{service.url}/images/{answer.json()['uploadId']}/small"


@pytest.mark.slow
def test_green_beyond_srgb_is_shown_on_wide_screens(service: Service, chromium: Browser) -> None:
    wide, narrow = uploaded(service, DISPLAY_P3), uploaded(service, None)
    page = chromium.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{service.url}/docs")

    for format in Format:
        expected = {(wide, "display-p3"): GREEN, (wide, "srgb"): GREEN, (narrow, "display-p3"): GREEN_OF_SRGB}
        for (variant, space), color in expected.items():
            found = page.evaluate(READ, [f"{variant}.{format}", space])
            assert found == pytest.approx(color, abs=LOSSY), (variant, format, space)
    page.close()
