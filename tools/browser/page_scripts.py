"""What the Chromium backend runs in pages. Elements are known by their number in the last reading (``live.js``)."""

from __future__ import annotations

from importlib import resources


def _file(name: str) -> str:
    return resources.files("agentgym.tools.browser").joinpath(name).read_text(encoding="utf-8")


LIVE = _file("live.js")
"""Reads the page."""
STANDSTILL = _file("standstill.js")
"""Stops the page's clock; run before the page's own scripts."""

GO = """([cause, submitter, target]) => {
  const known = window.__agentgym, from = known[cause], button = submitter === null ? null : known[submitter];
  const kept = [];
  const put = (element, name, value) => {
    kept.push([element, name, element.getAttribute(name)]);
    element.setAttribute(name, value);
  };
  put(from, "target", target);  // where it opens and whether the form may be sent was decided before
  if (from.localName === "form") put(from, "novalidate", "");
  if (button) put(button, "formtarget", target);
  if (button) button.click();
  else if (from.localName === "form") from.requestSubmit();
  else if (from.click) from.click();
  else from.dispatchEvent(new MouseEvent("click", {bubbles: true, cancelable: true, view: window}));
  for (const [element, name, value] of kept.reverse()) {
    if (value === null) element.removeAttribute(name); else element.setAttribute(name, value);
  }
}"""
"""Follows a link or sends a form."""

# Where a click lands: the middle of the first box; None where there is none or something else lies over it.
AIM = """(i) => {
  const element = window.__agentgym[i];
  element.scrollIntoView({block: "center", inline: "center", behavior: "instant"});
  const box = element.getClientRects()[0];
  if (!box || !box.width || !box.height) return null;
  const x = box.x + box.width / 2, y = box.y + box.height / 2;
  const hit = document.elementFromPoint(x, y);
  return hit && (element.contains(hit) || hit.contains(element)) ? [x, y] : null;
}"""
CENTER = """(i) => {
  const element = window.__agentgym[i];
  element.scrollIntoView({block: "center", behavior: "instant"});
  const box = element.getBoundingClientRect();
  return [box.x + box.width / 2, box.y + box.height / 2];
}"""
CLICK = """(i) => {
  const element = window.__agentgym[i];
  if (element.click) element.click();
  else element.dispatchEvent(new MouseEvent("click", {bubbles: true, cancelable: true, view: window}));
}"""
FOCUS = "(i) => { const e = window.__agentgym[i]; if (e.focus) e.focus(); }"
SELECT = "(i) => { const e = window.__agentgym[i]; e.focus(); if (e.select) e.select(); }"
WRITE = """([i, value]) => {
  const element = window.__agentgym[i];
  element.focus();
  if (element.isContentEditable) element.textContent = value; else element.value = value;
  element.dispatchEvent(new Event("input", {bubbles: true}));
  element.dispatchEvent(new Event("change", {bubbles: true}));
}"""
CHOOSE = """([i, chosen]) => {
  const element = window.__agentgym[i];
  [...element.options].forEach((option, number) => { option.selected = chosen.includes(number); });
  element.dispatchEvent(new Event("input", {bubbles: true}));
  element.dispatchEvent(new Event("change", {bubbles: true}));
}"""
TOGGLE = "(i) => { const element = window.__agentgym[i]; element.open = !element.open; }"
RESET = "(i) => { window.__agentgym[i].reset(); }"
REFILL = """(values) => {
  for (const [i, kind, value] of values) {
    const element = window.__agentgym[i];
    if (!element) continue;
    if (kind === "details") element.open = value;
    else if (kind === "select") [...element.options].forEach((o, n) => { o.selected = value.includes(n); });
    else if (kind === "tick") element.checked = value;
    else if (element.type !== "file" && element.type !== "hidden") element.value = value;
  }
}"""


def reader(probe: str, before: str = "() => 0") -> str:
    """Runs ``before``, lets the page's clock run on, evaluates ``probe`` and reads the page: the last two's results."""
    return f"""([argument, span, limits]) => {{
  ({before.strip().rstrip(";")})(argument);
  if (window.__agentgymRun) window.__agentgymRun(span);
  return [({probe})(), ({LIVE.strip().rstrip(";")})(limits)];
}}"""
