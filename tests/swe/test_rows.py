"""Rows of public datasets, and a row's episode in an image that is built here."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.core.errors import ConfigError, DataError
from agentgym.environments.swe import patches, rows
from agentgym.environments.swe.bugs import unified_diff
from agentgym.environments.swe.row_game import judge
from agentgym.environments.swe.runner import Report

LINES = st.lists(st.sampled_from(["a\n", "b\n", "\n", "  c\n", "+x\n", "-y\n", "@@ z\n"]), max_size=12)


@given(LINES, LINES, st.booleans())
def test_a_diff_takes_one_file_to_the_other(before: list[str], after: list[str], add_file: bool) -> None:
    old = {"d/f.py": "".join(before).encode(), "g": b"same\n"}
    new = {**old, "d/f.py": "".join(after).encode(), **({"new.py": b"n\n"} if add_file else {})}
    changed = patches.apply(unified_diff(old, new), old.get)
    assert {**old, **changed} == new


def test_diffs_of_git() -> None:
    text = (
        "diff --git a/x.py b/y.py\nsimilarity index 90%\nrename from x.py\nrename to y.py\n--- a/x.py\n+++ b/y.py\n"
        "@@ -2,2 +2,2 @@ def f\n two\n-three\n+drei\ndiff --git a/gone b/gone\ndeleted file mode 100644\n--- a/gone\n"
        "+++ /dev/null\n@@ -1 +0,0 @@\n-bye\n\\ No newline at end of file\n"
    )
    files = {"x.py": b"zero\none\ntwo\nthree\n", "gone": b"bye"}
    assert patches.apply(text, files.get) == {"x.py": None, "y.py": b"zero\none\ntwo\ndrei\n", "gone": None}
    assert rows.touched(text) == ("x.py", "y.py", "gone")


def test_what_else_git_writes() -> None:
    """Seen in diffs of public datasets: empty files, odd names, copies, binary files, form feeds, no last line end."""
    text = (
        "diff --git a/t/__init__.py b/t/__init__.py\nnew file mode 100644\nindex 0000000..e69de29\n"
        "diff --git a/old.py b/old.py\ndeleted file mode 100644\nindex e69de29..0000000\n"
        'diff --git "a/\\303\\274 b.py" "b/\\303\\274 b.py"\n--- "a/\\303\\274 b.py"\n+++ "b/\\303\\274 b.py"\n'
        "@@ -1,2 +1,2 @@\n a\x0cb\n-c\n\\ No newline at end of file\n+d\n\\ No newline at end of file\n"
        "diff --git a/x.py b/y.py\nsimilarity index 100%\ncopy from x.py\ncopy to y.py\n"
        "diff --git a/p.png b/p.png\nnew file mode 100644\nindex 0000000..1\nBinary files /dev/null and b/p.png differ\n"
        "diff --git a/run b/run\nold mode 100644\nnew mode 100755\n"
    )
    files = {"old.py": b"", "ü b.py": b"a\x0cb\nc", "x.py": b"x\n", "run": b"r"}
    assert patches.apply(text, files.get) == {
        "t/__init__.py": b"", "old.py": None, "ü b.py": b"a\x0cb\nd", "y.py": b"x\n"
    }  # fmt: skip
    grown = {"f.py": b"one\x0c\ntwo", "empty.py": b""}
    assert patches.apply(unified_diff({"f.py": b"one\x0c\n"}, grown), {"f.py": b"one\x0c\n"}.get) == grown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("+++ b/x\n", "before"), ("@@ -1 +1 @@\n", "before any file"), ("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n", "middle"),
        ("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-nothere\n+b\n", "fits nowhere"), ("--- a/z\n+++ b/z\n@@ -1 +1 @@\n-a\n+b\n", "not exist"),
        ("--- a/x\n+++ b/x\n@@ -1 +1 @@\n?a\n", "begins with"),
    ],
)  # fmt: skip
def test_bad_diffs_are_named(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        patches.apply(text, {"x": b"a\n"}.get)


def _row(**changes: object) -> dict[str, object]:
    base = {
        "instance_id": "Owner__repo-12", "repo": "owner/repo", "problem_statement": "text", "patch": "", "test_patch": "",
        "FAIL_TO_PASS": '["t.py::a"]', "PASS_TO_PASS": ["t.py::b"],
    }  # fmt: skip
    return {**base, **changes}


def test_images_are_named_as_each_dataset_does() -> None:
    assert rows.image_of("swe-bench", _row()) == "swebench/sweb.eval.x86_64.owner_1776_repo-12:latest"
    assert rows.image_of("swe-gym", _row()) == "xingyaoww/sweb.eval.x86_64.owner_s_repo-12:latest"
    assert rows.image_of("swe-smith", _row(image_name="swesmith.x86_64.owner__repo.12345678")).startswith(
        "swesmith.x86"
    )
    named = _row(instance_id="Owner__re.po.12345678.lm_rewrite__abc")
    assert rows.image_of("swe-smith", named) == "swesmith.x86_64.Owner__re.po.12345678"
    assert rows.image_of("r2e", _row(docker_image="namanjain12/repo:abc")) == "namanjain12/repo:abc"
    with pytest.raises(DataError, match="name their image"):
        rows.image_of("r2e", _row())


def test_rows_are_read_and_bad_ones_named(tmp_path: Path) -> None:
    row = rows.read_row("swe-bench", _row(patch="fix", test_patch="tests"))
    assert (row.fail_to_pass, row.pass_to_pass, row.fix, row.tests) == (("t.py::a",), ("t.py::b",), "fix", "tests")
    smith = rows.read_row("swe-smith", _row(patch="bug", image_name="i"))
    assert (smith.bug, smith.fix, smith.tests) == ("bug", "", "")
    with pytest.raises(DataError, match="own runner"):
        rows.read_row("swe-bench", _row(repo="django/django"))
    with pytest.raises(DataError, match="KeyError"):
        rows.read_row("swe-bench", {"instance_id": "x"})
    with pytest.raises(ConfigError, match="Unknown kind"):
        rows.load("x", "nothing")
    with pytest.raises(ConfigError, match="no file"):
        rows.load("x", "r2e")
    (tmp_path / "r.jsonl").write_text(json.dumps(_row()) + "\n" + json.dumps(_row(repo="django/django")) + "\n")
    assert list(rows.load(str(tmp_path / "r.jsonl"), "swe-bench")) == ["Owner__repo-12"]
    (tmp_path / "r.json").write_text("[]")
    with pytest.raises(DataError, match="empty"):
        rows.load(str(tmp_path / "r.json"), "swe-bench")


def _report(**outcomes: str) -> Report:
    named = {name.replace("__", "::"): outcome for name, outcome in outcomes.items()}
    return Report(named, {}, 1, True, "", "")  # type: ignore[arg-type]


def test_judging() -> None:
    row = rows.read_row("swe-bench", _row(FAIL_TO_PASS=["f::a", "f::b"], PASS_TO_PASS=["f::c"]))
    assert judge(row, _report(f__a="passed", f__b="passed", f__c="passed")) == (True, 1.0)
    assert judge(row, _report(f__a="passed", f__b="passed", f__c="skipped")) == (True, 1.0), "skipped P2P is kept"
    assert judge(row, _report(f__a="passed", f__b="skipped", f__c="passed")) == (False, 0.5), "skipped F2P has failed"
    assert judge(row, _report(f__a="passed", f__b="passed", f__c="failed")) == (False, 0.0)
    cut = rows.read_row("swe-bench", _row(FAIL_TO_PASS=["f::a[x"], PASS_TO_PASS=[]))
    assert judge(cut, Report({"f::a[x y]": "passed", "f::a[x z]": "passed"}, {}, 1, True, "", ""))[0]
    assert not judge(cut, Report({"f::a[x y]": "passed", "f::a[x z]": "failed"}, {}, 1, True, "", ""))[0]
    r2e = rows.read_row(
        "r2e", {"repo_name": "r", "commit_hash": "c" * 40, "problem_statement": "s", "docker_image": "i",
                "expected_output_json": {"T.a": "PASSED", "T.b": "FAILED"}},
    )  # fmt: skip
    assert judge(r2e, _report(f__T__a="passed", f__T__b="failed")) == (True, 1.0)
    assert not judge(r2e, _report(f__T__a="passed", f__T__b="passed"))[0], "the map must be met exactly"
    assert not judge(r2e, _report(f__T__a="passed", f__T__b="failed", f__T__c="passed"))[0]
