"""The pages, and the route for webhooks."""

from django.contrib.auth.views import LoginView
from django.urls import path

from album import views

urlpatterns = [
    path("", views.gallery, name="gallery"),
    path("login", LoginView.as_view(template_name="album.html"), name="login"),
    path("upload", views.upload, name="upload"),
    path("delete-account", views.delete_account, name="delete-account"),
    path("hooks/darkroom", views.webhook, name="webhook"),
]
