"""What Django applications in workers share: settings, the database in memory, style sheets, who visits.

Only workers import this.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from agentgym.environments.web.sites.changes import Change, forget, net_changes
from agentgym.environments.web.sites.frozen import Frozen
from agentgym.tools.browser.transport import Request, Response, Wsgi

_HERE = "agentgym.environments.web.sites.django_site"
WORLD_TABLE = "agentgym_world"
"""Table with one row: ``now`` (seconds since 1970), ``visitor`` (key of the user who is signed in, or NULL)."""
_QUIET = ("django_", "auth_permission", "agentgym_")
_MAX_ADDRESSES = 10_000
_KNOWN = "known"
"""Cookie of those who were seen before: they are signed in once, and may sign out."""
_KINDS = {"css": "text/css", "js": "text/javascript", "png": "image/png", "svg": "image/svg+xml", "ico": "image/x-icon"}

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    f"{_HERE}.sign_visitor_in",
    "django.contrib.messages.middleware.MessageMiddleware",
]


def settings(**own: Any) -> dict[str, Any]:
    """Settings of a site: nothing that outlives a request but the database; sessions and messages lie in cookies."""
    return {
        "DEBUG": False,
        "SECRET_KEY": "not a secret: this site runs in a sandbox of its own",
        "ALLOWED_HOSTS": ["*"],
        "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        "DEFAULT_AUTO_FIELD": "django.db.models.AutoField",
        "CACHES": {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}},
        "SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies",
        "MESSAGE_STORAGE": "django.contrib.messages.storage.cookie.CookieStorage",
        "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],
        "EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend",
        "STATIC_URL": "/static/",
        "MEDIA_URL": "/media/",
        "USE_TZ": True,
        "TIME_ZONE": "UTC",
        "LANGUAGE_CODE": "en-us",
        "LANGUAGES": [("en-us", "English")],
        "LOGGING_CONFIG": None,
        "SITE_ID": 1,
    } | own


def sign_visitor_in(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Middleware: who comes for the first time is signed in as the world's visitor, if it has one."""
    from django.contrib.auth import get_user_model, login
    from django.db import connection

    def middleware(request: Any) -> Any:
        first = _KNOWN not in request.COOKIES
        if first and not request.user.is_authenticated:
            with connection.cursor() as cursor:
                row = cursor.execute(f"SELECT visitor FROM {WORLD_TABLE}").fetchone()
            user = get_user_model().objects.filter(pk=row[0]).first() if row and row[0] else None
            if user is not None:
                login(request, user, "django.contrib.auth.backends.ModelBackend")
        response = get_response(request)
        if first:
            response.set_cookie(_KNOWN, "1")
        return response

    return middleware


def _remember_addresses() -> None:
    """Addresses of views are a pure function of name and arguments; pages ask for the same ones over and over."""
    import django.urls

    slow: Any = django.urls.reverse
    known: dict[Any, str] = {}

    def reverse(
        viewname: Any, urlconf: Any = None, args: Any = None, kwargs: Any = None, current_app: Any = None, **more: Any
    ) -> str:
        given = (*(args or ()), *(kwargs or {}).values())
        key = (viewname, urlconf, current_app, *given, *map(type, given), *(kwargs or ()), *more, *more.values())
        try:
            found = known.get(key)
        except TypeError:  # an argument that can't be a key
            return str(slow(viewname, urlconf, args, kwargs, current_app, **more))
        if found is None:
            if len(known) >= _MAX_ADDRESSES:
                known.clear()
            found = known[key] = str(slow(viewname, urlconf, args, kwargs, current_app, **more))
        return found

    django.urls.reverse = reverse  # type: ignore[assignment,unused-ignore]


def database() -> sqlite3.Connection:
    """The connection of this process."""
    from django.db import connection

    connection.ensure_connection()
    raw: sqlite3.Connection = connection.connection
    return raw


class DjangoSite:
    """A Django application over a database in memory. See ``inside.Inside``.

    Args:
        frozen: The clocks of this process.
        configured: Settings, of ``settings``.
        quiet_tables: Beginnings of tables whose rows are no deeds of the visitor.
        quiet_columns: Columns that applications keep for themselves, in any table.
        prepared: Called once after the applications are loaded.
        restored: Called whenever another database was opened.
    """

    def __init__(
        self,
        frozen: Frozen,
        configured: Mapping[str, Any],
        quiet_tables: tuple[str, ...] = (),
        quiet_columns: frozenset[str] = frozenset(),
        prepared: Callable[[], None] = lambda: None,
        restored: Callable[[], None] = lambda: None,
    ) -> None:
        import django
        from django.conf import settings as django_settings
        from django.core.wsgi import get_wsgi_application

        django_settings.configure(**configured)
        _remember_addresses()  # before applications take a reference of their own
        django.setup()
        prepared()
        self._frozen = frozen
        self._restored = restored
        self._quiet_tables = (*_QUIET, *quiet_tables)
        self._quiet_columns = quiet_columns
        self._app = Wsgi(get_wsgi_application())
        self._static: dict[str, Response] = {}

    def __call__(self, request: Request) -> Response:
        """Answers a request; files of the applications come from where they are installed."""
        path = request.url.split("/", 3)[3].partition("?")[0]
        if path.startswith(("static/", "media/")):
            return self._file(path)
        try:
            return self._app(request)
        finally:
            if database().in_transaction:  # the request was broken off
                database().rollback()

    def _file(self, path: str) -> Response:
        if path not in self._static:
            self._static[path] = _found(path.removeprefix("static/"))
        return self._static[path]

    def build(self) -> bytes:
        """An empty database of these applications, small and with the world's table."""
        from django.core.management import call_command

        db = database()
        db.execute("PRAGMA page_size = 1024")  # there are hundreds of small tables and indices
        call_command("migrate", verbosity=0, interactive=False)
        db.execute(f"CREATE TABLE {WORLD_TABLE} (now INTEGER, visitor INTEGER)")
        for table in ("auth_permission", "django_migrations", "django_admin_log"):
            if db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
                db.execute(f"DELETE FROM {table}")
        db.commit()
        db.execute("VACUUM")
        return db.serialize()

    def restore(self, data: bytes, edits: tuple[str, ...]) -> None:
        """See ``Site``."""
        from django.contrib.contenttypes.models import ContentType
        from django.contrib.sites.models import Site

        db = database()
        db.deserialize(data)
        for edit in edits:
            db.execute(edit)
        if edits:
            forget(db)
        ContentType.objects.clear_cache()
        Site.objects.clear_cache()
        self._restored()
        self._frozen.stand_at(db.execute(f"SELECT now FROM {WORLD_TABLE}").fetchone()[0])

    def snapshot(self) -> bytes:
        """See ``Site``."""
        return database().serialize()

    def changes(self) -> tuple[Change, ...]:
        """See ``Site``. What applications do for themselves is left out."""
        found = (item for item in net_changes(database()) if not item.table.startswith(self._quiet_tables))
        loud = (replace(item, before=self._loud(item.before), after=self._loud(item.after)) for item in found)
        return tuple(item for item in loud if item.before != item.after)

    def _loud(self, row: dict[str, Any] | None) -> dict[str, Any] | None:
        return None if row is None else {key: row[key] for key in row if key not in self._quiet_columns}


def _found(path: str) -> Response:
    from django.contrib.staticfiles import finders

    found = finders.find(path)
    if not isinstance(found, str):
        return Response(404, (("content-type", "text/plain"),), b"There is no such file.")
    with open(found, "rb") as file:  # noqa: PTH123 - a path of Django's
        data = file.read()
    kind = _KINDS.get(path.rpartition(".")[2], "application/octet-stream")
    return Response(200, (("content-type", kind),), data)
