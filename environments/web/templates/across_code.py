"""What the code browser says, written down elsewhere: in the tracker, the wiki, the forum and the mail."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from agentgym.core.actions import Action
from agentgym.environments.web.goals import Goal, Place, Want
from agentgym.environments.web.guide_kit import MailGuide
from agentgym.environments.web.sites.kit.world import pick
from agentgym.environments.web.sites.world import World
from agentgym.environments.web.template import Draft, Template
from agentgym.environments.web.templates.across import new_mail, send_mail, where
from agentgym.environments.web.templates.code import (
    CodeGuide,
    file_place,
    newest,
    repositories,
    said_of,
    two_files,
    values_of,
)
from agentgym.environments.web.templates.forum_guide import TOPICS, ForumGuide, forum_path
from agentgym.environments.web.templates.issues import ISSUES, IssuesGuide, issue_place, me, noted
from agentgym.environments.web.templates.wiki import PAGES, WikiGuide, wiki_place

Notes = Mapping[str, Any]
Worlds = Mapping[str, World]


class _Tracker(CodeGuide, IssuesGuide):
    """Code and tracker."""


class _Wiki(CodeGuide, WikiGuide):
    """Code and wiki."""


class _Forum(CodeGuide, ForumGuide):
    """Code and forum."""


class _Mail(CodeGuide, MailGuide):
    """Code, address book and mailbox."""


def _repository(name: str) -> Place:
    return Place(f"/{name}/", {}, "code.test")


def _read(guide: CodeGuide, notes: Notes) -> Action | None:
    """Looks for the newest commit; None once it was read."""
    if notes["said"] in guide.seen:
        return None
    return guide.at("code") or guide.commit(notes["repo"], notes["said"])


# ------------------------------------------------------------------ a commit


def _report(worlds: Worlds, rng: np.random.Generator) -> Draft:
    tracker, repo = worlds["issues"], pick(rng, repositories(worlds["code"]))
    row = newest(worlds["code"], repo)
    values = {"title": row["message"], "priority": 3, "status": 1, "assignedto": None}
    wants = (
        Want("issue", "add", values, site="issues"),
        Want("message", "add", {"author": me(tracker), "text": row["author"]}, site="issues"),
    )
    new = Place("/issue", {"@template": "item"}, "issues.test")
    goal = Goal(wants=wants, route=(_repository(repo), new), evidence=(said_of(row),))
    text = (
        f"File an issue in the tracker about the newest commit of the repository {repo}: its title is the message of"
        " the commit, its priority bug, its note the full name of the commit's author and nothing else. Leave all"
        " other fields as they are."
    ) + where("code", "issues")
    form = {"title": row["message"], "priority": "bug", "@note": row["author"]}
    return Draft(text, goal, {"repo": repo, "said": said_of(row), "form": form})


def _solve_report(guide: _Tracker, notes: Notes) -> Action:
    if guide.sent("issue"):
        return guide.answer("done")
    there = _read(guide, notes) or guide.at("issues") or guide.form("issue?@template=item")
    return there or guide.send(notes["form"], "Submit New Entry")


def _announce(worlds: Worlds, rng: np.random.Generator) -> Draft:
    repo, forum = pick(rng, repositories(worlds["code"])), worlds["forum"].one(rng, TOPICS)
    row, path = newest(worlds["code"], repo), forum_path(forum)
    subject = f"News of {repo}"
    post = {"subject": subject, "content": row["message"], "poster_id": 1, "approved": 1, "enable_signature": 1}
    topic = {"subject": subject, "forum_id": forum["forum_id"], "poster_id": 1}
    wants = (
        Want("forum_conversation_topic", "add", topic, site="forum"),
        Want("forum_conversation_post", "add", post, site="forum"),
    )
    route = (_repository(repo), Place(f"{path}topic/create/", {}, "forum.test"))
    text = (
        f"Start a topic in the forum {forum['forum']}. Its subject is '{subject}', its message that of the newest"
        f" commit of the repository {repo}, word for word. Leave all else in the form as it is."
    ) + where("code", "forum")
    form = {"subject": subject, "content": row["message"]}
    notes = {"repo": repo, "said": said_of(row), "forum": path, "form": form}
    return Draft(text, Goal(wants=wants, route=route, evidence=(said_of(row),)), notes)


def _solve_announce(guide: _Forum, notes: Notes) -> Action:
    if guide.sent("forum_conversation_topic"):
        return guide.answer("done")
    there = _read(guide, notes) or guide.at("forum")
    if there is not None:
        return there
    if guide.path == f"{notes['forum']}topic/create/":
        return guide.fill_fields(notes["form"], "Submit")
    return guide.forum(notes["forum"]) or guide.follow("topic/create/") or guide.away()


def _write_to(worlds: Worlds, rng: np.random.Generator) -> Draft:
    repo = pick(rng, repositories(worlds["code"]))
    row = newest(worlds["code"], repo)
    person = worlds["book"].rows("SELECT * FROM contact WHERE name = ?", row["author"])[0]
    want, form, said = new_mail(rng, person["email"])
    goal = Goal(
        wants=(want,), evidence=(said_of(row), person["email"]),
        route=(_repository(repo), Place(f"/contacts/{person['id']}", {}, "book.test"),
               Place("/compose", {}, "mail.test")),
    )  # fmt: skip
    text = (
        f"Write a mail to the person who has made the newest commit of the repository {repo}; the address book has the"
        f" address. {said}"
    ) + where("code", "book", "mail")
    notes = {"repo": repo, "said": said_of(row), "name": person["name"], "id": person["id"], "email": person["email"],
             "form": form}  # fmt: skip
    return Draft(text, goal, notes)


def _solve_write_to(guide: _Mail, notes: Notes) -> Action:
    if guide.sent("message"):
        return guide.answer("done")
    there = _read(guide, notes)
    if there is not None:
        return there
    if notes["email"] not in guide.seen:
        return guide.at("book") or guide.contact(notes["name"], notes["id"]) or guide.away()
    return send_mail(guide, notes["form"])


# ------------------------------------------------------------------ files


def _record(worlds: Worlds, rng: np.random.Generator) -> Draft:
    row, page = pick(rng, values_of(worlds["code"])), pick(rng, worlds["wiki"].rows(PAGES))
    shown, line = f"{row['name']} = {row['value']}", f"{row['name']} is {row['value']}."
    body = f"{str(page['text']).rstrip()}\n\n{line}"
    goal = Goal(
        wants=(Want("page", "change", {"text": body}, page["id"], "wiki"),), evidence=(shown,),
        route=(file_place(row), wiki_place(page["name"])),
    )  # fmt: skip
    text = (
        f"Look up the value of {row['name']} in {row['path']} of the repository {row['repo']}. Add a paragraph at the"
        f" end of the wiki's page {page['name']}, after an empty line: '{row['name']} is 5.', with the value in place"
        " of 5."
    ) + where("code", "wiki")
    notes = {"repo": row["repo"], "path": row["path"], "shown": shown, "page": page["name"], "text": body}
    return Draft(text, goal, notes)


def _solve_record(guide: _Wiki, notes: Notes) -> Action:
    if guide.sent("page"):
        return guide.answer("done")
    if notes["shown"] not in guide.seen:
        return guide.at("code") or guide.file(notes["repo"], notes["path"]) or guide.away()
    there = guide.at("wiki") or guide.below(notes["page"], "edit")
    return there or guide.fill_in({"Text": notes["text"]}, "Save")


def _name_larger(worlds: Worlds, rng: np.random.Generator) -> Draft:
    best, first, second = two_files(worlds["code"], rng)
    issue, shown = (
        pick(rng, worlds["issues"].rows(ISSUES)),
        [f"{row['name']} = {row['value']}" for row in (first, second)],
    )
    wants = tuple(Want(**{**vars(want), "site": "issues"}) for want in noted(worlds["issues"], issue, best["path"]))
    goal = Goal(
        wants=wants, evidence=tuple(shown), route=(file_place(first), file_place(second), issue_place(issue["id"]))
    )
    text = (
        f"In the repository {best['repo']}, find out which file has the larger {best['name']}, {first['path']} or"
        f" {second['path']}. Add a note to the issue '{issue['title']}' ({issue['id']}) that is the path of that file"
        " and nothing else. Set no status; the tracker does."
    ) + where("code", "issues")
    files = [[row["path"], words] for row, words in zip((first, second), shown, strict=True)]
    return Draft(text, goal, {"repo": best["repo"], "all": files, "id": issue["id"], "form": {"@note": best["path"]}})


def _solve_name_larger(guide: _Tracker, notes: Notes) -> Action:
    if guide.sent("message"):
        return guide.answer("done")
    for path, shown in notes["all"]:
        if shown not in guide.seen:
            return guide.at("code") or guide.file(notes["repo"], path) or guide.away()
    return guide.at("issues") or guide.issue(notes["id"]) or guide.send(notes["form"], "Submit Changes")


_across = partial(Template, kind="multi-site")

TEMPLATES = (
    _across(
        "commit-to-issue", difficulty=0.7, make=_report, solve=_solve_report, sites=("code", "issues"), guide=_Tracker
    ),
    _across(
        "commit-to-forum", difficulty=0.7, make=_announce, solve=_solve_announce, sites=("code", "forum"), guide=_Forum
    ),
    _across(
        "mail-the-committer", difficulty=0.9, make=_write_to, solve=_solve_write_to, sites=("code", "book", "mail"),
        guide=_Mail,
    ),
    _across("constant-to-wiki", difficulty=0.8, make=_record, solve=_solve_record, sites=("code", "wiki"), guide=_Wiki),
    _across(
        "larger-to-issue", difficulty=1.0, make=_name_larger, solve=_solve_name_larger, sites=("code", "issues"),
        guide=_Tracker, held_out=True,
    ),
)  # fmt: skip
