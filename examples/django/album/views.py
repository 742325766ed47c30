"""The gallery, uploads through this back end, webhooks, and the deletion of an account."""

from typing import Any

import httpx
from django import forms
from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from album.models import HandledWebhook, Photo
from darkroom import VerificationError, verify_webhook
from darkroom.django import StoredUpload

darkroom = httpx.Client(
    base_url=settings.ALBUM_DARKROOM_URL,
    headers={"Authorization": f"Bearer {settings.ALBUM_DARKROOM_KEY}"},
    timeout=60,  # seconds; an upload of 10 MB may take some
)


class UploadForm(forms.Form):
    """Darkroom checks the file itself: its format, its size, its pixels."""

    title = forms.CharField(max_length=100)
    image = forms.FileField()
    private = forms.BooleanField(required=False)


@login_required
@require_safe
def gallery(request: HttpRequest) -> HttpResponse:
    return show_gallery(request, UploadForm())


def show_gallery(request: HttpRequest, form: UploadForm) -> HttpResponse:
    photos = request.user.photos.filter(upload__isnull=False).order_by("-pk")
    return render(request, "album.html", {"form": form, "photos": photos})


@login_required
@require_POST
def upload(request: HttpRequest) -> HttpResponse:
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return show_gallery(request, form)
    # First the row, whose id the upload gets. So the webhook finds it, even if it comes before Darkroom's answer.
    photo = Photo.objects.create(user=request.user, title=form.cleaned_data["title"])
    answer = darkroom.post(
        "/images/upload",
        files={"image": ("photo", form.cleaned_data["image"].file)},
        data={
            "owner": str(request.user.pk),
            "externalId": str(photo.pk),
            "visibility": "private" if form.cleaned_data["private"] else "public",
        },
    )
    if answer.status_code in (400, 413, 422):
        photo.delete()
        form.add_error("image", answer.json()["detail"])  # such as "Send a JPEG, PNG or WebP image."
        return show_gallery(request, form)
    # After another error the row stays: if the upload was stored all the same, its webhook completes the row.
    uploaded = StoredUpload.from_json(answer.raise_for_status().json())
    if not Photo.objects.filter(pk=photo.pk).update(upload=uploaded):  # the account was deleted meanwhile
        darkroom.delete(f"/images/{uploaded.upload_id}").raise_for_status()
    return redirect("gallery")


@login_required
@require_POST
def delete_account(request: HttpRequest) -> HttpResponse:
    """All or nothing: if Darkroom does not answer, the account is as before, and the user can try again."""
    owner = str(request.user.pk)
    with transaction.atomic():
        request.user.delete()  # and their photos
        darkroom.delete("/images", params={"owner": owner}).raise_for_status()
    logout(request)
    return redirect("login")


@csrf_exempt  # Darkroom has no cookie; the signature says that it is Darkroom
@require_POST
def webhook(request: HttpRequest) -> HttpResponse:
    """Any error here makes Darkroom send the webhook again later."""
    try:
        event = verify_webhook(request.body, request.headers, settings.ALBUM_WEBHOOK_SECRET)
    except VerificationError:
        return HttpResponseBadRequest()
    # In the transaction of its effect: a webhook whose handling fails is not remembered as handled.
    with transaction.atomic():
        _, is_new = HandledWebhook.objects.get_or_create(webhook_id=request.headers["webhook-id"])
        if is_new:
            handle(event["type"], event["data"])
    return HttpResponse(status=204)


def handle(kind: str, data: dict[str, Any]) -> None:
    """Updates and deletes rows. It inserts none: webhooks may come late, also after `image.deleted`."""
    try:
        photos = Photo.objects.filter(pk=int(data["externalId"]), user_id=int(data["owner"]))
    except (TypeError, ValueError):
        return  # an upload that was not made here
    if kind == "image.deleted":
        photos.delete()
    else:
        photos.update(upload=StoredUpload.from_json(data), status=kind.removeprefix("image."))
