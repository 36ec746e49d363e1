"""Addresses of the forum. Only the worker imports this."""

from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.urls import include, path
from machina import urls


def no_feed(request: HttpRequest, rest: str) -> HttpResponse:
    """Feeds are for programs, and browsers differ in what they make of them."""
    return HttpResponseNotFound("<title>Not Found</title><h1>Not Found</h1>")


urlpatterns = [
    path("feeds/<path:rest>", no_feed),
    path("login/", LoginView.as_view(), name="login"),
    path("", include(urls)),
]
