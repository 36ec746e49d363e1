"""The templates of all sites."""

from agentgym.environments.web.template import Template
from agentgym.environments.web.templates import (
    across,
    book_read,
    book_refuse,
    book_write,
    calendar_read,
    calendar_write,
    mail_read,
    mail_write,
    map_read,
    map_write,
)

ALL: tuple[Template, ...] = (
    *book_read.TEMPLATES,
    *book_write.TEMPLATES,
    *book_refuse.TEMPLATES,
    *mail_read.TEMPLATES,
    *mail_write.TEMPLATES,
    *calendar_read.TEMPLATES,
    *calendar_write.TEMPLATES,
    *map_read.TEMPLATES,
    *map_write.TEMPLATES,
    *across.TEMPLATES,
)
"""In a fixed order: tasks are drawn by place."""
