"""The field and the template tags in a real Django, with SQLite in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

django = pytest.importorskip("django", reason="is an extra of the client, in the dependency group dev")

from django.apps import AppConfig, apps
from django.conf import settings

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "pictures.json").read_text(encoding="utf-8"))
SIZES, ID = VECTORS["configured"], VECTORS["uploadId"]
OTHER_ID = "00000000-0000-4000-8000-000000000000"
KEY = "0123456789abcdef0123456789abcdef"
NOW = 1_800_000_000
TOKEN = "v1.1800003600."

if not settings.configured:
    settings.configure(
        INSTALLED_APPS=["darkroom.django"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
        DARKROOM_SIZES=SIZES,
    )
    django.setup()

from django.core import serializers
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import IntegrityError, connection, models, transaction
from django.db.migrations.writer import MigrationWriter
from django.forms import modelform_factory
from django.template import Context, Template
from django.test.utils import override_settings

from darkroom import VerificationError, sign_token
from darkroom.direct_uploads import RECEIPT
from darkroom.django import StoredUpload
from darkroom.django.fields import UploadField
from darkroom.json_web_tokens import sign_jwt


class Listing(models.Model):  # noqa: DJ008 - nothing shows it
    title = models.CharField(max_length=80)
    photo = UploadField(null=True, blank=True)

    class Meta:
        app_label = "darkroom"


class Portrait(models.Model):  # noqa: DJ008 - nothing shows it
    photo = UploadField()

    class Meta:
        app_label = "darkroom"
        constraints = [models.UniqueConstraint(models.F("photo__uploadId"), name="one_portrait_per_photo")]  # noqa: RUF012 - as Django writes it


@pytest.fixture(scope="module", autouse=True)
def _tables() -> Iterator[None]:
    with connection.schema_editor() as editor:
        editor.create_model(Listing)
        editor.create_model(Portrait)
    yield
    connection.close()


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("darkroom.signing.time.time", lambda: NOW)


def document(number: int = 0, **changes: Any) -> dict[str, Any]:
    """The JSON of the API, with fields that are not kept."""
    case = VECTORS["cases"][number]
    kept = {name: case[name] for name in ("dimensions", "placeholder", "animated")} | {"uploadId": ID}
    return {**kept, "status": "complete", "urls": {}, **changes}


def render(template: str, **context: Any) -> str:
    return Template("{% load darkroom %}" + template).render(Context(context))


def saved(photo: Any) -> Listing:
    listing = Listing.objects.create(title="A cat", photo=photo)
    return Listing.objects.get(pk=listing.pk)


@pytest.mark.parametrize("number", range(len(VECTORS["cases"])))
def test_picture_of_a_saved_upload_is_the_servers(number: int) -> None:
    listing = saved(document(number))

    assert render("{% darkroom_picture listing.photo %}", listing=listing) == VECTORS["cases"][number]["widest"]


def test_json_that_is_assigned_is_a_stored_upload_at_once() -> None:
    listing = Listing(title="A cat", photo=document())

    assert listing.photo == StoredUpload(ID, 800, 800, "public", document()["placeholder"], animated=False)
    assert listing.photo == saved(listing.photo).photo


def test_picture_takes_all_options_and_escapes_them() -> None:
    case = VECTORS["cases"][3]
    tag = "{% darkroom_picture photo '50vw' alt=alt size=size %}"

    html = render(tag, photo=saved(document(3)).photo, alt='A "cat" & <b>', size=case["size"])

    assert html == case["picture"]
    html = render("{% darkroom_picture photo loading='eager' placeholder=False %}", photo=saved(document()).photo)
    assert 'loading="eager"' in html
    assert "style=" not in html


def test_url_names_size_format_and_density() -> None:
    photo = saved(document()).photo

    assert render("{% darkroom_url photo 'small' %}", photo=photo) == f"https://cdn.example.com/images/{ID}/small.auto"
    assert render("{% darkroom_url photo 'small' 'webp' density=2 %}", photo=photo) == (
        f"https://cdn.example.com/images/{ID}/small@2x.webp"
    )


def test_tags_without_an_upload_render_nothing() -> None:
    listing = saved(None)

    assert listing.photo is None
    assert render("[{% darkroom_url l.photo 'small' %}{% darkroom_picture l.photo %}]", l=listing) == "[]"


@override_settings(DARKROOM_SIGNING_KEYS=f"{KEY},{KEY[::-1]}")
def test_private_upload_has_signed_urls() -> None:
    photo = saved(document(visibility="private")).photo
    token = sign_token(ID, KEY)

    url, html = (
        render("{% darkroom_url photo 'small' %}", photo=photo),
        render("{% darkroom_picture photo %}", photo=photo),
    )

    assert token.startswith(TOKEN)
    assert url == f"https://cdn.example.com/private/{ID}/small.auto?token={token}"
    assert html.count("/private/") == html.count(f"?token={token}") > 3
    assert "/images/" not in html
    longer = render("{% darkroom_url photo 'small' lifetime=86400 %}", photo=photo)
    assert longer.partition("?token=")[2] == sign_token(ID, KEY, lifetime=86400) != token


def test_private_upload_without_keys_raises() -> None:
    with pytest.raises(ImproperlyConfigured, match="DARKROOM_SIGNING_KEYS"):
        render("{% darkroom_picture photo %}", photo=saved(document(visibility="private")).photo)


@override_settings(DARKROOM_URL="https://other.test/media/")
def test_url_setting_begins_urls_and_pictures() -> None:
    photo = saved(document()).photo

    assert photo.url("small", "jpg") == f"https://other.test/media/images/{ID}/small.jpg"
    assert "https://cdn.example.com" not in photo.picture()


def test_sizes_may_be_the_path_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "sizes.json"
    file.write_text(json.dumps(SIZES), encoding="utf-8")

    with override_settings(DARKROOM_SIZES=file):
        assert saved(document()).photo.picture() == VECTORS["cases"][0]["widest"]
    with (
        override_settings(DARKROOM_SIZES=tmp_path / "missing.json"),
        pytest.raises(ImproperlyConfigured, match="missing"),
    ):
        saved(document()).photo.picture()
    with override_settings(DARKROOM_SIZES=None), pytest.raises(ImproperlyConfigured, match="GET /sizes"):
        saved(document()).photo.url("small")


def test_uploads_are_found_by_their_id() -> None:
    Listing.objects.all().delete()
    wanted, _ = saved(document(uploadId=OTHER_ID)), saved(document())

    assert [*Listing.objects.filter(photo__uploadId=OTHER_ID)] == [wanted]
    assert [*Listing.objects.filter(photo=wanted.photo)] == [wanted]
    assert Listing.objects.values_list("photo__uploadId", flat=True).get(pk=wanted.pk) == OTHER_ID
    assert Listing.objects.filter(photo__isnull=True).count() == 0
    Listing.objects.update(photo=wanted.photo)
    assert Listing.objects.filter(photo__uploadId=OTHER_ID).count() == 2


def test_constraint_keeps_uploads_unique() -> None:
    Portrait.objects.create(photo=document())
    Portrait.objects.create(photo=document(uploadId=OTHER_ID))

    with pytest.raises(IntegrityError), transaction.atomic():
        Portrait.objects.create(photo=document(3))


PREVIEW = {"thumbhash": "", "color": "#7a6b5c", "dataUrl": None}


@pytest.mark.parametrize(
    "wrong",
    [
        "8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a",
        [],
        {},
        document(uploadId="../secret"),
        document(uploadId=None),
        document(dimensions={"width": "800", "height": 800}),
        document(dimensions={"width": True, "height": 800}),
        document(dimensions={"width": 0, "height": 800}),
        document(dimensions={"width": 10**400, "height": 800}),
        document(dimensions=None),
        document(visibility="secret"),
        document(placeholder={**PREVIEW, "color": "red;background:url(//evil.test)"}),
        document(placeholder={**PREVIEW, "dataUrl": "https://evil.test/x.png"}),
        document(placeholder={**PREVIEW, "dataUrl": "data:image/png;base64," + "A" * 4100}),
        document(placeholder={}),
        document(placeholder="#7a6b5c"),
    ],
)
def test_value_that_is_no_upload_raises(wrong: Any) -> None:
    with pytest.raises(ValidationError):
        Listing(title="A cat", photo=wrong)


def test_model_with_an_upload_is_valid_and_forms_leave_the_field_out() -> None:
    saved(document()).full_clean()
    saved(None).full_clean()

    assert [*modelform_factory(Listing, fields="__all__")().fields] == ["title"]


def test_fixtures_keep_the_upload() -> None:
    listing = saved(document(visibility="private"))

    text = serializers.serialize("json", [listing])
    [copy] = serializers.deserialize("json", text)

    assert json.loads(text)[0]["fields"]["photo"]["visibility"] == "private"
    assert copy.object.photo == listing.photo


@override_settings(DARKROOM_UPLOAD_KEYS=f"{KEY},{KEY[::-1]}")
def test_stored_id_is_that_of_the_receipt() -> None:
    receipt = sign_jwt({"uploadId": ID, "owner": "7", "sha256": "0" * 64}, KEY, RECEIPT)

    photo = StoredUpload.from_receipt(document(uploadId=OTHER_ID, receipt=receipt), owner="7")

    assert photo == StoredUpload(ID, 800, 800, "public", document()["placeholder"], animated=False)
    assert saved(photo).photo.upload_id == ID


@override_settings(DARKROOM_UPLOAD_KEYS=KEY)
def test_upload_without_a_receipt_of_the_owner_is_refused() -> None:
    receipt = sign_jwt({"uploadId": ID, "owner": "8", "sha256": "0" * 64}, KEY, RECEIPT)

    for handed in (document(), document(receipt=receipt), document(receipt=1), [receipt], None):
        with pytest.raises(VerificationError):
            StoredUpload.from_receipt(handed, owner="7")


def test_receipt_without_keys_raises() -> None:
    with pytest.raises(ImproperlyConfigured, match="DARKROOM_UPLOAD_KEYS"):
        StoredUpload.from_receipt(document(), owner=None)


def test_deferred_field_is_loaded_at_its_first_read() -> None:
    listing = Listing.objects.defer("photo").get(pk=saved(document()).pk)

    assert listing.photo.upload_id == ID


def test_migrations_name_the_field_by_its_path() -> None:
    text, imports = MigrationWriter.serialize(Listing._meta.get_field("photo"))  # noqa: SLF001 - Django's own name for it

    assert text == "darkroom.django.fields.UploadField(blank=True, editable=False, null=True)"
    assert imports == {"import darkroom.django.fields"}


def test_application_has_its_own_label() -> None:
    config = apps.get_app_config("darkroom")
    assert isinstance(config, AppConfig)
    assert config.name == "darkroom.django"
