"""`UploadField`, a model field that keeps one upload as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.query_utils import DeferredAttribute

from darkroom.django.stored_upload import StoredUpload


class _Attribute(DeferredAttribute):
    """Turns what is assigned into a StoredUpload at once: the API's JSON can be assigned as it is."""

    def __set__(self, instance: models.Model, value: Any) -> None:
        instance.__dict__[self.field.attname] = self.field.to_python(value)


class UploadField(models.JSONField):
    """Keeps an upload's id, dimensions, visibility, placeholder and `animated` as JSON.

    Its value is a StoredUpload, or None. Assign the JSON that your server got from Darkroom's API, or a StoredUpload.
    Forms leave the field out, because an id that a browser sends proves nothing: assign `StoredUpload.from_receipt`.
    Lookups are those of JSONField: `filter(photo__uploadId=...)`.
    """

    description = "An upload in Darkroom"
    descriptor_class = _Attribute

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options.setdefault("editable", False)
        super().__init__(*arguments, **options)

    def to_python(self, value: Any) -> Any:
        """Raises ValidationError for what is no StoredUpload, None, database expression or JSON of an upload."""
        if value is None or isinstance(value, StoredUpload) or hasattr(value, "resolve_expression"):
            return value
        if not isinstance(value, Mapping):
            raise ValidationError("assign the JSON of an upload from Darkroom's API", code="invalid")
        try:
            return StoredUpload.from_json(value)
        except ValueError as error:
            raise ValidationError(str(error), code="invalid") from error

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """Lookups of a part, such as `values("photo__uploadId")`, give the part."""
        value = super().from_db_value(value, expression, connection)
        return StoredUpload.from_json(value) if isinstance(value, dict) and "uploadId" in value else value

    def get_prep_value(self, value: Any) -> Any:
        return super().get_prep_value(_json(value))

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        return super().get_db_prep_value(_json(value), connection, prepared)

    def validate(self, value: Any, model_instance: models.Model) -> None:
        super().validate(_json(value), model_instance)

    def value_to_string(self, obj: models.Model) -> Any:
        return _json(self.value_from_object(obj))


def _json(value: Any) -> Any:
    return value.to_json() if isinstance(value, StoredUpload) else value
