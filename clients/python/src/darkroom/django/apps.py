"""The Django application; its label is `darkroom`."""

from django.apps import AppConfig


class DarkroomConfig(AppConfig):
    """Makes the template tags available: `{% load darkroom %}`."""

    name = "darkroom.django"
    label = "darkroom"
    verbose_name = "Darkroom"
