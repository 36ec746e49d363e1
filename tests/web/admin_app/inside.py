"""The library's admin in a process of its own."""

import datetime
import random

from agentgym.environments.web.sites.changes import watch
from agentgym.environments.web.sites.django_site import MIDDLEWARE, DjangoSite, database, settings

WORDS = ["river", "stone", "winter", "garden", "letter", "silent", "copper", "window", "field", "lantern"]
NAMES = ["Ada Byron", "Ben Okri", "Clara Diaz", "Dov Levi", "Eve O'Neil", "Finn Maar"]


class Library(DjangoSite):
    def build(self):
        from django.core.management import call_command

        call_command("migrate", verbosity=0, interactive=False, run_syncdb=True)
        self._frozen.begin()
        fill()
        database().execute("CREATE TABLE agentgym_world (now INTEGER, visitor INTEGER)")
        database().execute("INSERT INTO agentgym_world VALUES (1772442000, 1)")
        database().commit()
        watch(database())
        return database().serialize()


def fill():
    from django.contrib.admin.models import ADDITION, DELETION, LogEntry
    from django.contrib.auth.models import Group, User

    from web.admin_app.models import KINDS, Author, Book, Copy, Review, Subject

    rng = random.Random(5)
    me = User.objects.create_superuser("clerk", "clerk@library.test", "secret", first_name="Cleo")
    User.objects.create_user("reader", password="secret")
    Group.objects.create(name="Readers")
    authors = [
        Author.objects.create(
            name=name, mail=f"{name[:3].lower()}@library.test" * (i % 2), home="http://library.test/" * (i % 3 > 0),
            born=datetime.date(1950 + 7 * i, 1 + i, 3) if i else None, alive=(None, True, False)[i % 3],
        )
        for i, name in enumerate(NAMES)
    ]  # fmt: skip
    subjects = [Subject.objects.create(name=word.title()) for word in WORDS[:6]]
    for i in range(40):
        title = f"The {rng.choice(WORDS)} and <the {rng.choice(WORDS)}>"
        book = Book.objects.create(
            title=title, slug=f"book-{i}", author=rng.choice(authors), kind=rng.choice(KINDS)[0],
            price=rng.randrange(500, 4000) / 100, published=datetime.datetime(2019 + i % 4, 1 + i % 12, 5, 9, i, tzinfo=datetime.UTC),
            on_shelf=i % 3 > 0, summary=f"About a {rng.choice(WORDS)}.\n\nAnd more." * (i % 2),
        )  # fmt: skip
        book.subjects.set(rng.sample(subjects, i % 3))
        for number in range(i % 4):
            Copy.objects.create(
                book=book, number=number + 1, state=1 + number, due=datetime.time(9, 30) if number else None
            )
        for stars in rng.sample(range(1, 6), i % 3):
            Review.objects.create(book=book, stars=stars, text=f"A {rng.choice(WORDS)}  of a book")
        for flag in (ADDITION, DELETION)[: (i % 5 == 0 and 2) or 0]:
            LogEntry.objects.log_actions(me.pk, [book], flag, change_message="by hand", single_object=True)


def make(frozen, folder):
    apps = ("admin", "auth", "contenttypes", "sessions", "messages", "staticfiles", "sites", "admindocs")
    processors = ("django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
                  "django.contrib.messages.context_processors.messages")  # fmt: skip
    configured = settings(
        INSTALLED_APPS=[*(f"django.contrib.{name}" for name in apps), "web.admin_app"],
        ROOT_URLCONF="web.admin_app.urls",
        MIDDLEWARE=MIDDLEWARE,
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
                    "OPTIONS": {"context_processors": processors}}],
    )  # fmt: skip
    return Library(frozen, configured)
