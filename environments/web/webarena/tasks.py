"""Tasks in WebArena's and VisualWebArena's published form, read, checked and pointed at a deployment."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agentgym.core.errors import ConfigError, unknown_name
from agentgym.core.tasks import ListedTasks, Task
from agentgym.environments.web.webarena.grade import LAST
from agentgym.environments.web.webarena.helpers import parse_call
from agentgym.environments.web.webarena.locator import NotALocator, parse, parse_click
from agentgym.environments.web.webarena.strings import OR, Dialect, fulfils

SPLIT = "test"
SITES = ("shopping", "shopping_admin", "reddit", "gitlab", "wikipedia", "map", "classifieds", "homepage")
"""Sites that published tasks name; a deployment may have others."""
AND = " |AND| "

_PLACEHOLDER = re.compile(r"__([A-Z][A-Z_]*?)__")
_KEPT = ("LAST_URL", "PAGE")
_STRINGS = {"exact_match": str, "must_include": list, "must_exclude": list, "one_of": list, "required_values": list}
_HARD = {"easy": 0.2, "medium": 0.5, "hard": 0.9}


class WebArenaTasks(ListedTasks):
    """The tasks of a file that can be played and graded on a deployment.

    Args:
        path: A JSON file with a list of tasks, or one task, or a folder of such files.
        sites: Name of a site -> its address.
        dialect: Whose evaluators grade.
        judged: There is a judge.
        auth: Folder with stored logins; empty for where the tasks say.

    Attributes:
        left_out: Why tasks were left out, by id.

    Raises:
        ConfigError: The file is missing, is none of tasks, or no task of it can be played.
    """

    def __init__(
        self, path: str | Path, sites: Mapping[str, str], dialect: Dialect, *, judged: bool, auth: str = ""
    ) -> None:
        self.folder, found = read_tasks(Path(path))
        self.left_out: dict[str, str] = {}
        self._known: dict[str, Task] = {}
        for place, raw in enumerate(found):
            task_id = str(raw.get("task_id", place)) if isinstance(raw, Mapping) else str(place)
            problem = task_problem(raw, sites, dialect, judged=judged, folder=self.folder)
            if not problem and raw.get("require_login", True) and raw.get("storage_state"):
                problem = login_problem(login_file(str(raw["storage_state"]), self.folder, auth))
            if task_id in self._known or task_id in self.left_out:
                raise ConfigError(f"{path} holds two tasks with the id {task_id!r}.")
            if problem:
                self.left_out[task_id] = problem
            else:
                self._known[task_id] = _task(task_id, raw, sites)
        if not self._known:
            reasons = sorted(set(self.left_out.values()))
            raise ConfigError(
                f"No task of {str(path)!r} can be played. " + " ".join(f"- {reason}" for reason in reasons[:5])
                if reasons
                else f"{str(path)!r} holds no tasks."
            )
        super().__init__({SPLIT: tuple(self._known)}, lambda task_id, split: self._known[task_id])

    def get(self, task_id: str) -> Task:
        """See ``TaskSource.get``. A task that was left out is named with the reason."""
        if task_id in self.left_out:
            raise ConfigError(f"The task {task_id!r} can't be played: {self.left_out[task_id]}")
        return super().get(task_id)


def read_tasks(path: Path) -> tuple[Path, list[Any]]:
    """The raw tasks of a file or folder, and the folder that they lie in. Raises ConfigError."""
    if path.is_dir():
        files = sorted(path.glob("*.json"), key=lambda file: (len(file.stem), file.stem))
        return path, [task for file in files for task in _file(file)]
    if not path.is_file():
        raise ConfigError(
            f"There is no task file {str(path)!r}. Give tasks='...', a JSON file in WebArena's form (its"
            " config_files/test.raw.json) or a folder of such files."
        )
    return path.parent, _file(path)


def _file(path: Path) -> list[Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ConfigError(f"{str(path)!r} can't be read as JSON: {error}") from None
    return found if isinstance(found, list) else [found]


def _task(task_id: str, raw: Mapping[str, Any], sites: Mapping[str, str]) -> Task:
    whole = placed(raw, sites)
    images = whole.get("image") or []
    data = {
        "intent": str(whole["intent"]),
        "start": tuple(str(whole["start_url"]).split(AND)),
        "sites": tuple(whole.get("sites", ())),
        "storage_state": whole.get("storage_state") if whole.get("require_login", True) else None,
        "images": tuple([images] if isinstance(images, str) else images),
        "viewport": dict(whole.get("viewport_size") or {}),
        "geolocation": whole.get("geolocation"),
    }
    return Task(task_id, SPLIT, data, {"eval": whole["eval"]}, _HARD.get(str(raw.get("overall_difficulty")), 0.0))


def placed(value: Any, sites: Mapping[str, str]) -> Any:
    """``value`` with the addresses of sites in place of ``__SHOPPING__`` and its kin."""
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda match: sites.get(match[1].lower(), match[0]), value)
    if isinstance(value, Mapping):
        return {key: placed(item, sites) for key, item in value.items()}
    return [placed(item, sites) for item in value] if isinstance(value, list) else value


# ------------------------------------------------------------------ what is wrong with a task


def task_problem(
    raw: Any, sites: Mapping[str, str], dialect: Dialect, *, judged: bool, folder: Path | None = None
) -> str:
    """Why a task can't be played and graded here; empty when it can."""
    if not isinstance(raw, Mapping):
        return "it is no JSON object."
    for key, kind in (("intent", str), ("start_url", str), ("eval", Mapping)):
        if not isinstance(raw.get(key), kind):
            return f"it lacks {key!r}."
    named = {name for name in _placeholders(raw) if name not in _KEPT}
    missing = sorted(({name.lower() for name in named} | set(raw.get("sites") or ())) - set(sites))
    if missing:
        return f"it needs the address of {', '.join(missing)}: give sites={{{missing[0]!r}: 'http://...'}}."
    try:
        return _eval_problem(placed(raw["eval"], sites), dialect, judged, folder)
    except (KeyError, TypeError, AttributeError) as error:
        return f"its 'eval' has another form than published ({type(error).__name__}: {error})."


def login_file(name: str, folder: Path, auth: str) -> Path:
    """Where a stored login lies: in the folder that the user named, else where the task says, from its own file."""
    return Path(auth) / Path(name).name if auth else folder / name


def login_problem(path: Path) -> str:
    """Why a stored login can't be used; empty when it can."""
    if not path.is_file():
        return (
            f"it needs the login {str(path)!r}, which isn't there. Store it with the benchmark's login script and give"
            " auth='folder' where it lies elsewhere."
        )
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        complete = all(isinstance(cookie[key], str) for cookie in found["cookies"] for key in ("name", "value"))
    except (ValueError, TypeError, KeyError):
        complete = False
    return "" if complete else f"{str(path)!r} is no storage state of Playwright."


def _placeholders(value: Any) -> set[str]:
    if isinstance(value, str):
        return set(_PLACEHOLDER.findall(value))
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return {name for item in items for name in _placeholders(item)}


def _eval_problem(config: Mapping[str, Any], dialect: Dialect, judged: bool, folder: Path | None) -> str:
    kinds = config.get("eval_types")
    if not isinstance(kinds, list) or not kinds:
        return "it names no evaluator ('eval_types')."
    for kind in kinds:
        match kind:
            case "string_match":
                problem = _answers_problem(config.get("reference_answers"), judged)
            case "url_match":
                problem = _url_problem(config)
            case "program_html":
                problem = _targets_problem(config["program_html"], dialect, judged)
            case "page_image_query":
                problem = _images_problem(config["page_image_query"], dialect, judged, folder)
            case _:
                known = ("string_match", "url_match", "program_html", "page_image_query")
                problem = str(unknown_name("evaluator", str(kind), known))
        if problem:
            return problem
    return ""


def _answers_problem(wanted: Any, judged: bool) -> str:
    if not isinstance(wanted, Mapping) or not wanted:
        return "string_match needs 'reference_answers'."
    for kind, value in wanted.items():
        if kind == "fuzzy_match":
            if value != "N/A" and not judged:
                return "fuzzy_match needs a judge: give judge={'model': ..., 'base_url': ...}."
        elif kind not in _STRINGS:
            return str(unknown_name("kind of reference answer", str(kind), (*_STRINGS, "fuzzy_match")))
        elif not isinstance(value, _STRINGS[kind]):
            return f"{kind} must be a {_STRINGS[kind].__name__}."
        elif kind == "required_values" and (problem := _inequality_problem(value)):
            return problem
    return ""


def _inequality_problem(values: Sequence[Any]) -> str:
    try:
        for value in values:
            fulfils(0, str(value))
    except ValueError as error:
        return f"{error}."
    return ""


def _url_problem(config: Mapping[str, Any]) -> str:
    if not config.get("reference_url"):
        return "url_match needs 'reference_url'."
    rule = config.get("url_note") or "EXACT"
    return "" if rule in ("GOLD in PRED", "EXACT") else str(unknown_name("url_note", rule, ("GOLD in PRED", "EXACT")))


def _targets_problem(targets: Sequence[Mapping[str, Any]], dialect: Dialect, judged: bool) -> str:
    for target in targets:
        wanted, locator = target["required_contents"], str(target["locator"]).strip()
        try:
            if str(target["url"]).startswith("func:"):
                parse_call(str(target["url"]), dialect)
            if locator.startswith("func:"):
                parse_call(locator, dialect)
            elif locator:
                parse(locator)
            for click in target.get("prep_actions") or ():
                parse_click(str(click))
        except NotALocator as error:
            return f"a locator is outside of what is read: {error}."
        except ValueError as error:
            return f"{error}."
        known = ("exact_match", "must_include", "must_exclude", "required_values", "fuzzy_match")
        kind = next((name for name in known if name in wanted), "")
        if not kind:
            return f"'required_contents' has none of {', '.join(known)}."
        if kind == "fuzzy_match" and not judged:
            return "fuzzy_match needs a judge: give judge={'model': ..., 'base_url': ...}."
        if kind == "required_values" and (problem := _inequality_problem(wanted[kind])):
            return problem
    return ""


def _images_problem(queries: Sequence[Mapping[str, Any]], dialect: Dialect, judged: bool, folder: Path | None) -> str:
    for query in queries:
        url = str(query["eval_image_url"])
        if url.startswith("func:"):
            try:
                parse_call(url, dialect)
            except ValueError as error:
                return f"{error}."
        elif url != LAST and not url.startswith("http"):
            return f"'eval_image_url' is no address: {url!r}."
        if not isinstance(query["eval_image_class"], str):
            return "'eval_image_class' is no selector."
        if query.get("eval_vqa") and not judged:
            return "eval_vqa needs a judge that can look: give judge={'model': ..., 'base_url': ...}."
        if not query.get("eval_vqa") and not query.get("eval_fuzzy_image_match"):
            return "a page_image_query needs 'eval_vqa' or 'eval_fuzzy_image_match'."
        for reference in str(query.get("eval_fuzzy_image_match") or "").split(OR):
            if reference and not reference.startswith("http") and not beside(folder, reference):
                return f"the picture {reference!r} is not beside the task file."
    return ""


def beside(folder: Path | None, name: str) -> Path | None:
    """A file below the folder of the tasks: by its path there, or its name. None where it isn't there."""
    if folder is None:
        return None
    for path in (folder / name, folder / "images" / Path(name).name, folder / Path(name).name):
        if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            return path
    return None
