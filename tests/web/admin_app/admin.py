"""The admin's pages of the library, with most of what the admin offers switched on."""

from django.contrib import admin

from web.admin_app.models import Author, Book, Copy, Review, Subject


class Copies(admin.TabularInline):
    model = Copy
    extra = 2


class Reviews(admin.StackedInline):
    model = Review
    extra = 1


@admin.register(Book)
class BookAdmin(admin.ModelAdmin):
    list_display = ("title", "author", "kind", "price", "published", "on_shelf", "expensive")
    list_editable = ("price", "on_shelf")
    list_filter = ("kind", "on_shelf", "published", "author", ("subjects", admin.EmptyFieldListFilter))
    search_fields = ("title", "author__name")
    search_help_text = "Titles and names"
    date_hierarchy = "published"
    list_per_page = 12
    prepopulated_fields = {"slug": ("title",)}
    radio_fields = {"kind": admin.HORIZONTAL}
    autocomplete_fields = ("editor",)
    filter_horizontal = ("subjects",)
    save_as = True
    save_on_top = True
    view_on_site = lambda self, book: f"/books/{book.slug}/"  # noqa: E731
    inlines = (Copies, Reviews)
    fieldsets = (
        (None, {"fields": (("title", "slug"), "author", "editor")}),
        ("Contents", {"fields": ("kind", "subjects", "summary"), "description": "What is <em>in</em> it."}),
        ("Shop", {"classes": ("collapse",), "fields": (("price", "pages"), "published", "on_shelf", "cover")}),
    )

    @admin.display(boolean=True, description="dear?", ordering="price")
    def expensive(self, book):
        return book.price > 20


@admin.register(Author)
class AuthorAdmin(admin.ModelAdmin):
    list_display = ("name", "mail", "born", "alive")
    list_display_links = ("name", "mail")
    list_filter = ("alive",)
    search_fields = ("name",)
    empty_value_display = "(unknown)"


@admin.register(Subject)
class SubjectAdmin(admin.ModelAdmin):
    show_facets = admin.ShowFacets.ALWAYS
    list_filter = ("name",)


@admin.register(Copy)
class CopyAdmin(admin.ModelAdmin):
    list_display = ("__str__", "book", "state", "due")
    readonly_fields = ("number", "due")
    raw_id_fields = ("book",)
    list_select_related = True
    actions_on_bottom = True


@admin.register(Review)
class ReviewAdmin(admin.ModelAdmin):
    list_display = ("book", "stars", "text")

    def has_change_permission(self, request, review=None):
        return False
