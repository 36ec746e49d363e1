"""The shop in its own process: django-oscar with settings of ours. Only the worker imports this."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agentgym.environments.web.sites.django_site import MIDDLEWARE, DjangoSite, settings
from agentgym.environments.web.sites.frozen import Frozen

PER_PAGE = 8
"""Products of a page."""

_QUIET_TABLES = ("analytics_", "communication_", "order_lineprice", "basket_basket")
_QUIET_COLUMNS = frozenset(
    {"date_created", "date_updated", "search_text", "hash", "num_allocated", "num_orders_as_shipping_address",
     "num_orders_as_billing_address", "last_login", "rating", "delta_votes", "total_votes"}
)  # fmt: skip


class NoThumbnail:
    """Products have no pictures here."""

    url = "/media/none.png"


class Thumbnailer:
    """In place of one that would draw, and write to the database on every visit."""

    def generate_thumbnail(self, source: Any, **options: Any) -> NoThumbnail:
        """The same for all."""
        return NoThumbnail()

    def delete_thumbnails(self, source: Any) -> None:
        """There are none."""


def make(frozen: Frozen, folder: Path) -> DjangoSite:
    """The application. It keeps no files."""
    from oscar import INSTALLED_APPS, defaults

    own = {name: getattr(defaults, name) for name in dir(defaults) if name.isupper()}
    own |= {name: PER_PAGE for name in own if name.endswith("_PER_PAGE")}
    here = "agentgym.environments.web.sites.shop"
    configured = settings(**own) | {
        "INSTALLED_APPS": INSTALLED_APPS,
        "ROOT_URLCONF": f"{here}.urls",
        "MIDDLEWARE": [
            *MIDDLEWARE,
            "django.contrib.flatpages.middleware.FlatpageFallbackMiddleware",
            "oscar.apps.basket.middleware.BasketMiddleware",
        ],
        "TEMPLATES": [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "DIRS": [str(Path(__file__).parent / "templates")],
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                        "oscar.apps.search.context_processors.search_form",
                        "oscar.apps.checkout.context_processors.checkout",
                        "oscar.apps.communication.notifications.context_processors.notifications",
                        "oscar.core.context_processors.metadata",
                    ]
                },
            }
        ],
        "AUTHENTICATION_BACKENDS": [
            "oscar.apps.customer.auth_backends.EmailBackend",
            "django.contrib.auth.backends.ModelBackend",
        ],
        "HAYSTACK_CONNECTIONS": {"default": {"ENGINE": "haystack.backends.simple_backend.SimpleEngine"}},
        "HAYSTACK_SIGNAL_PROCESSOR": "haystack.signals.BaseSignalProcessor",
        "OSCAR_SHOP_NAME": "Corner Shop",
        "OSCAR_DEFAULT_CURRENCY": "USD",
        "OSCAR_THUMBNAILER": f"{here}.inside.Thumbnailer",
        "OSCAR_SAVE_SENT_EMAILS_TO_DB": False,
        "OSCAR_SEND_REGISTRATION_EMAIL": False,
        "OSCAR_ALLOW_ANON_REVIEWS": False,
        "OSCAR_SEARCH_FACETS": FACETS,
        "OSCAR_INITIAL_ORDER_STATUS": "Pending",
        "OSCAR_INITIAL_LINE_STATUS": "Pending",
        "OSCAR_ORDER_STATUS_PIPELINE": {
            "Pending": ("Being processed", "Cancelled"),
            "Being processed": ("Shipped", "Cancelled"),
            "Shipped": (),
            "Cancelled": (),
        },
        "OSCAR_ORDER_STATUS_CASCADE": {},
        "STATICFILES_FINDERS": ["django.contrib.staticfiles.finders.AppDirectoriesFinder"],
    }
    return DjangoSite(frozen, configured, _QUIET_TABLES, _QUIET_COLUMNS, _prepare)


FACETS = {
    "fields": {},
    "queries": {
        "price_range": {
            "name": "Price range",
            "field": "price",
            "queries": [
                ("Up to 25", "[0 TO 25]"),
                ("25 to 50", "[25 TO 50]"),
                ("50 to 100", "[50 TO 100]"),
                ("Above 100", "[100 TO *]"),
            ],
        }
    },
}


def _prepare() -> None:
    """Puts our own search in place of the one that needs an index, and a button where a script would send a form."""
    from django.contrib.auth.models import update_last_login
    from django.contrib.auth.signals import user_logged_in
    from oscar.apps.search import forms
    from oscar.apps.search.views import base

    from agentgym.environments.web.sites.shop.search import Found

    base.base_sqs = Found
    widget = forms.SearchForm.base_fields["sort_by"].widget  # the same in all forms of its kind
    widget.render = _with_button(widget.render)
    user_logged_in.disconnect(update_last_login, dispatch_uid="update_last_login")


def _with_button(render: Any) -> Any:
    """A list that has a button to send its form with."""
    from django.utils.safestring import mark_safe

    def rendered(*args: Any, **kwargs: Any) -> Any:
        return render(*args, **kwargs) + mark_safe(' <button type="submit">Sort</button>')

    return rendered
