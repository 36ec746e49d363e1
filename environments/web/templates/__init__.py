"""The templates of all sites."""

from agentgym.environments.web.template import Template
from agentgym.environments.web.templates import (
    across,
    across_code,
    across_shop_data,
    book_read,
    book_refuse,
    book_write,
    calendar_read,
    calendar_write,
    code,
    data_read,
    forum_read,
    forum_write,
    issues,
    mail_read,
    mail_write,
    map_read,
    map_write,
    shop_office,
    shop_read,
    shop_write,
    wiki,
)

_MODULES = (
    book_read,
    book_write,
    book_refuse,
    mail_read,
    mail_write,
    calendar_read,
    calendar_write,
    map_read,
    map_write,
    across,
    shop_read,
    shop_write,
    shop_office,
    forum_read,
    forum_write,
    data_read,
    issues,
    wiki,
    code,
    across_code,
    across_shop_data,
)

ALL: tuple[Template, ...] = tuple(item for module in _MODULES for item in module.TEMPLATES)
"""In a fixed order: tasks are drawn by place."""
