"""Photos, and the ids of webhooks that were handled."""

from django.conf import settings
from django.db import models

from darkroom.django.fields import UploadField


class Photo(models.Model):
    """A user's photo. `upload` is empty while the photo is being uploaded; `status` is what the last webhook said."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="photos")
    title = models.CharField(max_length=100)
    upload = UploadField(null=True)
    status = models.CharField(max_length=10, default="preparing")

    def __str__(self) -> str:
        return str(self.title)


class HandledWebhook(models.Model):
    """A webhook may arrive twice, with the same id."""

    webhook_id = models.CharField(max_length=255, unique=True)

    def __str__(self) -> str:
        return str(self.webhook_id)
