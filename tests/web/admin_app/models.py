"""Models with most kinds of fields, so that the admin shows most kinds of widgets."""

from django.db import models

KINDS = [("n", "Novel"), ("p", "Poems"), ("r", "Reference work")]
STATES = [(1, "As new"), (2, "Worn"), (3, "Lost & gone")]


class Author(models.Model):
    name = models.CharField(max_length=60, help_text="As on the <b>title page</b>.")
    mail = models.EmailField(blank=True)
    home = models.URLField(blank=True)
    born = models.DateField(null=True, blank=True)
    alive = models.BooleanField(null=True)

    def __str__(self):
        return self.name


class Subject(models.Model):
    name = models.CharField(max_length=40, unique=True)

    class Meta:
        ordering = ("name",)

    def __str__(self):
        return self.name


class Book(models.Model):
    title = models.CharField(max_length=80)
    slug = models.SlugField(unique=True, help_text="Made of the title.")
    author = models.ForeignKey(Author, models.CASCADE, related_name="books")
    editor = models.ForeignKey(Author, models.SET_NULL, null=True, blank=True, related_name="edited")
    subjects = models.ManyToManyField(Subject, blank=True)
    kind = models.CharField(max_length=1, choices=KINDS, default="n")
    price = models.DecimalField(max_digits=7, decimal_places=2)
    pages = models.PositiveIntegerField(default=100)
    published = models.DateTimeField()
    on_shelf = models.BooleanField("on the shelf", default=True)
    summary = models.TextField(blank=True)
    cover = models.FileField(blank=True)

    class Meta:
        ordering = ("title",)

    def __str__(self):
        return self.title


class Copy(models.Model):
    book = models.ForeignKey(Book, models.CASCADE)
    number = models.IntegerField()
    state = models.IntegerField(choices=STATES, default=1)
    due = models.TimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "copies"

    def __str__(self):
        return f"copy {self.number}"


class Review(models.Model):
    book = models.ForeignKey(Book, models.CASCADE)
    stars = models.IntegerField(choices=[(i, "★" * i) for i in range(1, 6)])
    text = models.TextField()

    def __str__(self):
        return f"{self.stars} stars"
