"""The forum in its own process: django-machina with settings of ours. Only the worker imports this."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from agentgym.environments.web.sites.django_site import MIDDLEWARE, DjangoSite, settings
from agentgym.environments.web.sites.forum import permissions, tree
from agentgym.environments.web.sites.frozen import Frozen

PER_PAGE = 10
"""Topics and posts of a page."""

_APPS = (
    "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "django.contrib.messages",
    "django.contrib.staticfiles", "django.contrib.sites", "mptt", "haystack", "widget_tweaks", "machina",
    "machina.apps.forum", "machina.apps.forum_conversation", "machina.apps.forum_conversation.forum_attachments",
    "machina.apps.forum_conversation.forum_polls", "machina.apps.forum_feeds", "machina.apps.forum_moderation",
    "machina.apps.forum_search", "machina.apps.forum_tracking", "machina.apps.forum_member",
    "machina.apps.forum_permission",
)  # fmt: skip
_MEMBERS_MAY = [
    "can_see_forum", "can_read_forum", "can_start_new_topics", "can_reply_to_topics", "can_edit_own_posts",
    "can_delete_own_posts", "can_post_without_approval", "can_vote_in_polls",
]  # fmt: skip
_QUIET_TABLES = ("forum_tracking_",)
_words = str.split
_QUIET_COLUMNS = frozenset(
    _words(
        "views_count updated created last_post_id last_post_on first_post_id posts_count direct_posts_count"
        " direct_topics_count updates_count updated_by_id poster_ip _content_rendered _signature_rendered last_login"
        " lft rght tree_id"
    )
)


def make(frozen: Frozen, folder: Path) -> DjangoSite:
    """The application. It keeps no files."""
    from machina import MACHINA_MAIN_STATIC_DIR, MACHINA_MAIN_TEMPLATE_DIR

    here = "agentgym.environments.web.sites.forum"
    configured = settings() | {
        "INSTALLED_APPS": _APPS,
        "ROOT_URLCONF": f"{here}.urls",
        "USE_I18N": False,  # it speaks English as it is written
        "MIDDLEWARE": [*MIDDLEWARE, "machina.apps.forum_permission.middleware.ForumPermissionMiddleware"],
        "TEMPLATES": [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "DIRS": [str(Path(__file__).parent / "templates"), MACHINA_MAIN_TEMPLATE_DIR],
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                        "machina.core.context_processors.metadata",
                    ]
                },
            }
        ],
        "STATICFILES_DIRS": [MACHINA_MAIN_STATIC_DIR],
        "STATICFILES_FINDERS": ["django.contrib.staticfiles.finders.FileSystemFinder"],
        "HAYSTACK_CONNECTIONS": {"default": {"ENGINE": "haystack.backends.simple_backend.SimpleEngine"}},
        "HAYSTACK_SEARCH_RESULTS_PER_PAGE": PER_PAGE,
        "MACHINA_FORUM_NAME": "Town Square",
        "MACHINA_FORUM_TOPICS_NUMBER_PER_PAGE": PER_PAGE,
        "MACHINA_TOPIC_POSTS_NUMBER_PER_PAGE": PER_PAGE,
        "MACHINA_PROFILE_AVATARS_ENABLED": False,
        "MACHINA_MARKUP_WIDGET": None,
        "MACHINA_DEFAULT_AUTHENTICATED_USER_FORUM_PERMISSIONS": _MEMBERS_MAY,
        "LOGIN_URL": "/login/",
        "LOGIN_REDIRECT_URL": "/",
    }
    caches = configured["CACHES"]
    configured["CACHES"] = {**caches, "machina_attachments": caches["default"]}
    return DjangoSite(frozen, configured, _QUIET_TABLES, _QUIET_COLUMNS, _prepare, _opened)


def _prepare() -> None:
    """Puts our own search in place of the one that needs an index."""
    from machina.apps.forum_search.forms import SearchForm

    SearchForm.search = _search
    permissions.install()
    tree.install()


def _opened() -> None:
    permissions.opened()
    tree.opened()


class Results(list[Any]):
    """What the page of results asks for beside the results."""

    def facet_counts(self) -> dict[str, Any]:
        """There are none."""
        return {}


def _search(form: Any) -> Results:
    """Approved posts that hold all of the words, newest first."""
    from machina.apps.forum_conversation.models import Post

    if not form.is_valid() or not form.cleaned_data.get("q"):
        return Results()
    data = form.cleaned_data
    posts = Post.objects.filter(approved=True, topic__forum__in=form.allowed_forums.values_list("id", flat=True))
    for word in data["q"].split():
        inside = posts.filter(topic__subject__icontains=word)
        posts = inside if data.get("search_topics") else inside | posts.filter(content__icontains=word)
    if data.get("search_poster_name"):
        posts = posts.filter(poster__username__icontains=data["search_poster_name"])
    if data.get("search_forums"):
        posts = posts.filter(topic__forum__in=data["search_forums"])
    found = posts.select_related("topic", "topic__forum", "poster").order_by("-created", "-id")
    return Results(_result(post) for post in found)


def _result(post: Any) -> SimpleNamespace:
    topic = post.topic
    return SimpleNamespace(
        object=post, text=str(post.content.raw), poster=post.poster_id, poster_name=post.poster.username,
        forum=topic.forum_id, forum_slug=topic.forum.slug, forum_name=topic.forum.name, topic=topic.id,
        topic_slug=topic.slug, topic_subject=topic.subject, created=post.created, updated=post.updated,
    )  # fmt: skip
