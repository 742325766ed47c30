"""Settings: Django's for a small project, and Darkroom's at the end."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).parents[1]
SECRET_KEY = os.environ["SECRET_KEY"]
DEBUG = True  # shows errors in the browser; False in production
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "album.urls"
USE_TZ = True

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "darkroom.django",  # the template tags
    "album",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.contrib.auth.context_processors.auth"]},
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": BASE_DIR / "album.db",
        # Webhooks come several at a time. In SQLite's default mode, a transaction that reads before it writes fails
        # with "database is locked" when another writes meanwhile; in this mode, it waits.
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "gallery"

DARKROOM_SIZES = BASE_DIR / "darkroom-sizes.json"  # of GET /sizes: the tags make URLs from it
DARKROOM_SIGNING_KEYS = os.environ["SIGNING_KEYS"]  # for private photos
# The names above are those of darkroom.django, the names below are this project's own.
ALBUM_DARKROOM_URL = os.environ["DARKROOM_URL"]
ALBUM_DARKROOM_KEY = os.environ["DARKROOM_KEY"]
ALBUM_WEBHOOK_SECRET = os.environ["WEBHOOK_SECRET"]
