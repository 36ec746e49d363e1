"""Addresses of the forum. Only the worker imports this."""

from django.contrib.auth.views import LoginView
from django.urls import include, path
from machina import urls

urlpatterns = [path("login/", LoginView.as_view(), name="login"), path("", include(urls))]
