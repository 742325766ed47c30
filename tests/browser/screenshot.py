"""The README's screenshot: `python -m tests.browser.screenshot PHOTOGRAPH…` writes docs/page.webp.

Opens the last photograph. Starts its own Darkroom in a temporary folder.
"""

import sys
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.browser.conftest import FLAGS, PROGRAM
from tests.browser.visits import wait_for_image, wait_for_warm_up
from tests.service import Service

TARGET = Path(__file__).parents[2] / "docs" / "page.webp"
WINDOW = {"width": 1280, "height": 1455}


def main() -> None:
    photographs = [Path(argument) for argument in sys.argv[1:]]
    if not photographs:
        raise SystemExit(__doc__)
    with TemporaryDirectory() as folder, Service(Path(folder)) as service, sync_playwright() as playwright:
        for path in photographs[:-1]:
            upload(service, path)
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=FLAGS)
        page = browser.new_page(base_url=service.url, color_scheme="dark", viewport=WINDOW, device_scale_factor=1.25)
        page.goto("/")
        take(page, photographs[-1])
        browser.close()


def upload(service: Service, path: Path) -> None:
    with httpx.Client(base_url=service.url, timeout=60) as client:
        created = client.post("/images/upload", files={"image": path.open("rb")}).json()
        client.get(f"/images/{created['uploadId']}/events")  # ends with the warm-up


def take(page: Page, path: Path) -> None:
    page.locator("#image").set_input_files(path)
    wait_for_warm_up(page)
    wait_for_image(page.get_by_role("region", name="Compare").get_by_role("img").last)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(1500)  # until the images have faded in
    shot = Image.open(BytesIO(page.screenshot()))
    shot.save(TARGET, quality=82, method=6)
    print(f"{TARGET}: {shot.width}x{shot.height}, {TARGET.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
