"""The tables of `darkroom.toml`: sizes and qualities."""

import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from proxy.model import Fit, Format, Position, Size
from proxy.settings.patterns import Color
from proxy.settings.watermark_settings import WatermarkSettings

MAX_SIZE_SIDE = 5000  # pixels; tripled (@3x) it stays under WebP's limit of 16383
Width = Annotated[int, Field(strict=True, ge=1, le=MAX_SIZE_SIDE)]

SHARPEN = 0.5
"""The amount of `sharpen = true`: mild. Half of the detail that scaling softens is added."""


class Quality(BaseModel):
    """Encoder qualities, 1 to 100, by format.

    AVIF's scale differs from JPEG's: AVIF at 67 has the mean SSIMULACRA2 score of JPEG at 82, which is above that of
    mozjpeg at 85 (docs/decisions/0003-pipeline.md).

    `score`: the target of sizes with `quality = "auto"`, on SSIMULACRA2's scale.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    jpg: int = Field(82, ge=1, le=100)
    webp: int = Field(85, ge=1, le=100)
    avif: int = Field(67, ge=1, le=100)
    score: float = Field(80, ge=50, le=95)


WITH_QUALITY = tuple(format for format in Format if format in Quality.model_fields)


class SizeSettings(BaseModel):
    """One `[sizes.NAME]` table of `darkroom.toml`."""

    model_config = ConfigDict(extra="forbid")

    width: int | None = Field(None, ge=1, le=MAX_SIZE_SIDE)
    height: int | None = Field(None, ge=1, le=MAX_SIZE_SIDE)
    fit: Fit | None = None
    enlarge: bool | None = Field(None, strict=True)
    position: Position | None = None
    background: Color | None = None
    grayscale: bool | None = Field(None, strict=True)
    blur: float | None = Field(None, strict=True, ge=0.3, le=250, allow_inf_nan=False)
    sharpen: float | None = None
    watermark: WatermarkSettings | None = None
    animated: bool | None = Field(None, strict=True)
    formats: tuple[Format, ...] | None = None
    quality: dict[Format, int] | int | Literal["auto"] | None = None
    warm: tuple[Format, ...] | Literal["auto", False] = "auto"

    @field_validator("formats", mode="plain")
    @classmethod
    def _validate_formats(cls, value: Any) -> tuple[Format, ...]:
        if not _is_list_of_formats(value) or not value:
            raise ValueError(f"give a list of {', '.join(Format)}, not {json.dumps(value, default=str)}")
        if Format.JPG not in value and Format.PNG not in value:
            raise ValueError("add jpg or png, for clients that accept no other format")
        return tuple(format for format in Format if format in value)

    # One validator for all kinds, because pydantic would report a mistake once for each.
    @field_validator("warm", mode="plain")
    @classmethod
    def _validate_warm(cls, value: Any) -> Any:
        if value == "auto" or value is False:
            return value
        if _is_list_of_formats(value):
            return tuple(format for format in Format if format in value)
        shown = json.dumps(value, default=str)
        raise ValueError(f'give "auto", false or a list of {", ".join(Format)}, not {shown}')

    @field_validator("quality", mode="plain")
    @classmethod
    def _validate_quality(cls, value: Any) -> Any:
        if value == "auto" or _is_quality(value):
            return value
        if (
            isinstance(value, dict)
            and value
            and all(name in WITH_QUALITY and _is_quality(value[name]) for name in value)
        ):
            return {format: value[format] for format in WITH_QUALITY if format in value}
        shown = json.dumps(value, default=str)
        raise ValueError(
            f'give "auto", a whole number from 1 to 100, or a table of such numbers for {", ".join(WITH_QUALITY)}, '
            f"not {shown}"
        )

    @field_validator("sharpen", mode="plain")
    @classmethod
    def _validate_sharpen(cls, value: Any) -> float | None:
        if isinstance(value, bool):
            return SHARPEN if value else None
        if isinstance(value, (int, float)) and 0.1 <= value <= 5:
            return float(value)
        raise ValueError(f"give true, false or a number from 0.1 to 5, not {json.dumps(value, default=str)}")

    @model_validator(mode="after")
    def _validate_together(self) -> Self:
        both = self.width is not None and self.height is not None
        if self.width is None and self.height is None:
            raise ValueError("give a width, a height or both")
        if self.fit in (Fit.COVER, Fit.PAD) and not both:
            raise ValueError(f'fit = "{self.fit}" needs both a width and a height')
        if self.enlarge and (self.fit is Fit.INSIDE or not both):
            raise ValueError('with fit = "inside" or one side alone, images are never enlarged: remove enlarge')
        if self.position is not None and (self.fit not in (None, Fit.COVER) or not both):
            raise ValueError('position belongs to fit = "cover", other fits show the whole image: remove position')
        if self.blur is not None and self.sharpen is not None:
            raise ValueError("give either blur or sharpen, not both")
        for option, named in (("warm", self.warm), ("quality", self.quality)):
            if isinstance(named, (tuple, dict)) and (lacking := [each for each in named if each not in self._formats]):
                which = ", ".join(lacking)
                raise ValueError(f"{option} names {which}, but formats does not: add it to formats, or remove it here")
        if self.animated and Format.WEBP not in self._formats:
            raise ValueError("animated shows animations as WebP: add webp to formats, or remove animated")
        return self

    @property
    def _formats(self) -> tuple[Format, ...]:
        return self.formats or tuple(Format)

    def _qualities(self) -> dict[Format, int]:
        """Returns the fixed qualities, of the size's formats alone."""
        if self.quality is None or self.quality == "auto":
            return {}
        if isinstance(self.quality, dict):
            return self.quality
        return dict.fromkeys((format for format in WITH_QUALITY if format in self._formats), self.quality)

    def to_size(self, name: str, background: str) -> Size:
        """Returns the size. `background`: its background colour if the table has none."""
        both = self.width is not None and self.height is not None
        fit = self.fit or (Fit.COVER if both else Fit.INSIDE)
        return Size(
            name,
            self.width,
            self.height,
            fit,
            formats=self._formats,
            auto_quality=self.quality == "auto" and any(format in WITH_QUALITY for format in self._formats),
            quality=tuple(self._qualities().items()),
            warm=None if self.warm == "auto" else self.warm or (),
            enlarge=self.enlarge is not False or fit is Fit.INSIDE,
            position=self.position or Position.CENTER,
            background=self.background or background,
            grayscale=bool(self.grayscale),
            blur=self.blur,
            sharpen=self.sharpen,
            animated=bool(self.animated),
            watermark=None if self.watermark is None else self.watermark.to_watermark(),
        )


def _is_list_of_formats(value: Any) -> bool:
    return isinstance(value, list) and all(one in list(Format) for one in value)


def _is_quality(value: Any) -> bool:
    return type(value) is int and 1 <= value <= 100
