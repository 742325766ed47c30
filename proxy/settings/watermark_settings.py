"""The option `watermark` of a size in `darkroom.toml`."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_serializer, field_validator

from proxy.model import Watermark, WatermarkPosition
from proxy.settings.needs import Needs
from proxy.settings.watermark_file import WatermarkFile, read_watermark_file


class WatermarkSettings(BaseModel):
    """The table `watermark` of a size.

    Reads `file` when it is validated, so that its content and its digest belong together while the process runs. If the
    command uses no watermarks (`Needs`), the file is not read.
    """

    model_config = ConfigDict(extra="forbid")

    file: WatermarkFile
    position: WatermarkPosition = WatermarkPosition.BOTTOM_RIGHT
    opacity: float = Field(1.0, strict=True, ge=0, le=1, allow_inf_nan=False)
    width: float = Field(0.25, strict=True, ge=0.01, le=1, allow_inf_nan=False)

    @field_validator("file", mode="plain")
    @classmethod
    def _read_file(cls, value: Any, info: ValidationInfo) -> WatermarkFile:
        if not isinstance(value, str) or not value:
            raise ValueError("give the path of a PNG or WebP file, relative to the folder of darkroom.toml")
        needs = Needs.of(info)
        return read_watermark_file(value, needs.folder) if needs.watermarks else WatermarkFile(value, 0, b"", "")

    @field_serializer("file")
    def _show_file(self, file: WatermarkFile) -> str:
        return file.name

    def to_watermark(self) -> Watermark:
        """Returns the watermark as targets have it: with the digest of its file instead of the bytes."""
        return Watermark(self.file.digest, self.file.pixels, self.position, self.opacity, self.width)
