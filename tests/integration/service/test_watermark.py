"""Watermarks over a real server whose render processes are locked: they have only the files of their requests."""

import io
from pathlib import Path

import pytest
from PIL import Image

from tests.client import until, upload
from tests.http_client import http
from tests.pictures import png
from tests.service import Service, darkroom

SIZES = """
[sizes.plain]
width = 200
[sizes.card]
width = 200
height = 120
watermark = {file = "marks/logo.png", width = 0.2}
[sizes.corner]
width = 100
watermark = {file = "marks/logo.png", position = "top-left", opacity = 0.5, width = 0.5}
"""
LOCKED = {"RENDER_SANDBOX": "required", "WARM_UP": "false", "RENDER_PROCESSES": "1"}
RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)
LOSSY = 8  # levels: a flat colour through lossy encoders

Color = tuple[int, ...]


def write_logo(folder: Path, color: Color) -> None:
    (folder / "marks").mkdir(exist_ok=True)
    (folder / "marks/logo.png").write_bytes(png(Image.new("RGB", (80, 40), color)))


def color_of(url: str, at: tuple[int, int]) -> tuple[int, ...]:
    answer = http.get(url)
    assert answer.status_code == 200
    color = Image.open(io.BytesIO(answer.content)).convert("RGB").getpixel(at)
    assert isinstance(color, tuple)
    return color


@pytest.mark.slow
def test_watermark_is_on_variants_of_its_sizes_and_a_new_file_replaces_it_after_a_restart(tmp_path: Path) -> None:
    (tmp_path / "darkroom.toml").write_text(SIZES)
    write_logo(tmp_path, RED)
    with Service(tmp_path, **LOCKED) as service:
        upload_id = upload(service, png(Image.new("RGB", (400, 240), WHITE)))
        images = f"{service.url}/images/{upload_id}"

        for format in ("jpg", "png", "webp", "avif"):
            assert color_of(f"{images}/card.{format}", (177, 107)) == pytest.approx(RED, abs=LOSSY)
            assert color_of(f"{images}/card@2x.{format}", (354, 214)) == pytest.approx(RED, abs=LOSSY)
            assert color_of(f"{images}/card.{format}", (100, 60)) == pytest.approx(WHITE, abs=LOSSY)
            assert color_of(f"{images}/plain.{format}", (177, 107)) == pytest.approx(WHITE, abs=LOSSY)
        assert color_of(f"{images}/corner.png", (25, 15)) == pytest.approx((255, 127, 127), abs=1)
        write_logo(tmp_path, GREEN)
        assert color_of(f"{images}/card@3x.png", (531, 321)) == RED  # the file is that of the start
        service.stop()

        service.start()
        images = f"{service.url}/images/{upload_id}"
        until(lambda: color_of(f"{images}/card.png", (177, 107)) == GREEN)
        assert color_of(f"{images}/card@3x.png", (531, 321)) in (RED, GREEN)  # stale until it is derived again
        plain = http.get(f"{images}/plain.png").headers["cache-status"]
        assert plain == "darkroom; hit"
        assert service.metric("darkroom_derivations_total", outcome="ok") <= 2


@pytest.mark.slow
@pytest.mark.parametrize("command", ["serve", "serve --workers 2", "worker"])
def test_command_with_a_damaged_file_says_so_alone(tmp_path: Path, command: str) -> None:
    (tmp_path / "darkroom.toml").write_text(SIZES)
    write_logo(tmp_path, RED)
    (logo := tmp_path / "marks/logo.png").write_bytes(logo.read_bytes()[:-20])

    started = darkroom(tmp_path, *command.split(), LOG_FORMAT="console")

    said = "The watermark marks/logo.png cannot be decoded. Export the file again, as PNG or WebP.\n"
    assert (started.returncode, started.stdout, started.stderr) == (2, "", said)


def test_server_does_not_start_without_the_file(tmp_path: Path) -> None:
    (tmp_path / "darkroom.toml").write_text(SIZES)

    started = darkroom(tmp_path, "serve")

    assert started.returncode == 2
    assert started.stderr.splitlines()[-2:] == [
        f"sizes.{name}.watermark.file: there is no file marks/logo.png" for name in ("card", "corner")
    ]
