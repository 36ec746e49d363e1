"""What a form sends, and where (HTML, section 4.10.21)."""

from __future__ import annotations

from agentgym.tools.browser import forms
from agentgym.tools.browser.backend import Page, Visit
from agentgym.tools.browser.element import Element
from agentgym.tools.browser.urls import form_encoded, resolve, without_fragment


def submission(page: Page, form: Element, submitter: Element | None) -> Visit | None:
    """The navigation that sending a form is, by ``submitter`` if a button does it; None for one that sends nothing."""
    attrs = submitter.attrs if submitter is not None else {}
    action = attrs.get("formaction", form.attrs.get("action", "")).strip() or without_fragment(page.url)
    method = (attrs.get("formmethod") or form.attrs.get("method", "get")).lower()
    target = attrs.get("formtarget") or form.attrs.get("target", "")
    if method == "dialog":
        return None
    url = resolve(resolve(page.url, page.document.base), action)
    sent = forms.entries(page.document, form, page.controls, submitter)
    new_tab = elsewhere(target)
    if method == "post":
        kind = (attrs.get("formenctype") or form.attrs.get("enctype", "")).lower()
        body, content_type = _encoded(kind, sent)
        return Visit("POST", url, body, content_type, form, submitter, new_tab)
    place, hash_sign, fragment = url.partition("#")
    url = f"{place.partition('?')[0]}?{form_encoded(sent)}{hash_sign}{fragment}"
    return Visit("GET", url, cause=form, submitter=submitter, new_tab=new_tab)


def elsewhere(target: str) -> bool:
    """Whether a link or form opens another tab; frames aren't loaded, so their names stand for tabs too."""
    return target.lower() not in ("", "_self", "_parent", "_top")


_BOUNDARY = "----agentgym-boundary"


def _encoded(kind: str, entries: list[tuple[str, str]]) -> tuple[bytes, str]:
    """Body and content type of a POST form."""
    if kind == "text/plain":
        return "".join(f"{name}={value}\r\n" for name, value in entries).encode(), kind
    if kind != "multipart/form-data":
        return form_encoded(entries).encode(), "application/x-www-form-urlencoded"
    parts = [
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{_in_quotes(name)}"'
        f"{_NO_FILE if isinstance(value, forms.NoFile) else ''}\r\n\r\n{value}\r\n"
        for name, value in entries
    ]
    return "".join([*parts, f"--{_BOUNDARY}--\r\n"]).encode(), f"multipart/form-data; boundary={_BOUNDARY}"


_NO_FILE = '; filename=""\r\nContent-Type: application/octet-stream'


def _in_quotes(name: str) -> str:
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
