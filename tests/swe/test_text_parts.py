"""What needs no sandbox: grammar, hidden tests, mutations, issue texts, reports, the dataset."""

import ast
import io
import json
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym.core.actions import Action
from agentgym.core.errors import ConfigError, DataError, Fault
from agentgym.environments.swe import fetch, packages, patches, tasks
from agentgym.environments.swe.bugs import Bug, apply_text, to_row, unified_diff, visible_tests
from agentgym.environments.swe.build import issue, mutate
from agentgym.environments.swe.grammar import FunctionFormat
from agentgym.environments.swe.hiding import function_of, functions, without_tests
from agentgym.environments.swe.package import BUNDLED, Package, bundled_files
from agentgym.environments.swe.runner import read_report
from agentgym.environments.swe.toolbox import TOOLS, better_tool
from agentgym.sandboxes import ExecResult
from agentgym.tools.editor import syntax_problem

TOOLS_BY_NAME = {tool.name: tool for tool in TOOLS}

# ---------------------------------------------------------------------- grammar


@settings(max_examples=50)
@given(st.text().filter(lambda text: "<parameter" not in text and "</" not in text), st.text(alphabet="ab\n "))
def test_grammar_reads_back_any_code(old: str, new: str) -> None:
    grammar = FunctionFormat()
    action = Action("replace", {"path": "a.py", "old": old, "new": new})
    parsed = grammar.parse(grammar.render([action], TOOLS_BY_NAME, "a thought"), TOOLS_BY_NAME)
    assert parsed.actions == (action,)
    assert parsed.thought == "a thought"


def test_grammar_binds_integers_and_says_what_is_wrong() -> None:
    grammar = FunctionFormat()
    call = "<function=view><parameter=path>x</parameter><parameter=start>7</parameter></function>"
    assert grammar.parse(call, TOOLS_BY_NAME).actions[0].arguments == {"path": "x", "start": 7}
    assert "found none" in grammar.parse("hello", TOOLS_BY_NAME).error
    assert "found 2" in grammar.parse(call + call, TOOLS_BY_NAME).error
    assert "'view'" in grammar.parse("<function=vieww></function>", TOOLS_BY_NAME).error
    assert "can't be read" in grammar.parse("<function=view>x</function>", TOOLS_BY_NAME).error


def test_a_model_that_repeats_itself_is_read_in_one_pass() -> None:
    grammar, times = FunctionFormat(), 40_000  # minutes, where each start is followed to the end
    for text in ("<function=bash>" * times, "<function=bash>" + "<parameter=command>" * times + "</function>"):
        assert grammar.parse(text, TOOLS_BY_NAME).error
    text = "</parameter>" * times
    call = f"<function=bash><parameter=command>{text}</parameter></function>"
    assert grammar.parse(call, TOOLS_BY_NAME).actions[0].arguments["command"] == text


# ---------------------------------------------------------------------- hidden tests

SOURCE = b'''import pytest

CONSTANT = 1


class TestA:
    """Doc."""

    @pytest.mark.parametrize(
        "x", [1, 2]
    )
    def test_one(self, x):
        assert x

    def test_two(self):
        pass


class TestB:
    def test_only(self):
        assert 1


@decorated
async def test_three():
    def inner():
        pass
'''


def test_hidden_tests_are_gone_with_their_decorators() -> None:
    names = {("TestA", "test_one"), ("TestB", "test_only"), ("test_three",)}
    left = without_tests(SOURCE, names)
    assert functions(left) == [("TestA", "test_two")]
    assert b"parametrize" not in left and b"decorated" not in left
    assert b"CONSTANT = 1" in left and b'"""Doc."""' in left
    ast.parse(left)


@given(st.sets(st.sampled_from(functions(SOURCE))))
def test_hiding_removes_exactly_what_is_named(names: set[tuple[str, ...]]) -> None:
    left = without_tests(SOURCE, names)
    ast.parse(left)
    assert set(functions(left)) == set(functions(SOURCE)) - names


def test_function_of_a_test_id() -> None:
    assert function_of("a/b.py::C::test[x::y-z]") == ("a/b.py", ("C", "test"))


# ---------------------------------------------------------------------- mutations

EXAMPLES = {
    "change_operator": ("def f(a, b):\n    return a < b\n", "def f(a, b):\n    return a <= b\n"),
    "swap_operands": ("def f(a, b):\n    return a - b\n", "def f(a, b):\n    return b - a\n"),
    "break_chain": ("def f(a, b):\n    return a and b\n", "def f(a, b):\n    return a\n"),
    "change_constant": ("def f():\n    return 5\n", "def f():\n    return 6\n"),
    "invert_condition": (
        "def f(a):\n    if a:\n        x()\n    else:\n        y()\n",
        "def f(a):\n    if a:\n        y()\n    else:\n        x()\n",
    ),
    "remove_condition": ("def f(a):\n    if a:\n        x()\n    return a\n", "def f(a):\n    return a\n"),
    "remove_loop": ("def f(a):\n    for x in a:\n        x()\n", "def f(a):\n    pass\n"),
    "remove_assignment": ("def f(a):\n    a = 1\n    return a\n", "def f(a):\n    return a\n"),
    "remove_wrapper": ("def f():\n    try:\n        x()\n    except E:\n        y()\n", "def f():\n    x()\n"),
    "shuffle_lines": ("def f():\n    x()\n    y()\n", "def f():\n    y()\n    x()\n"),
    "remove_method": (
        "class A:\n    def f(self):\n        pass\n    def g(self):\n        pass\n",
        "class A:\n    def g(self):\n        pass\n",
    ),
    "shuffle_methods": (
        "class A:\n    def f(self):\n        pass\n    def g(self):\n        pass\n",
        "class A:\n    def g(self):\n        pass\n    def f(self):\n        pass\n",
    ),
    "remove_base": ("class A(B, C):\n    pass\n", "class A(C):\n    pass\n"),
}


@pytest.mark.parametrize("family", mutate.FAMILIES)
def test_each_family_on_an_example(family: str) -> None:
    before, after = EXAMPLES[family]
    assert mutate.apply(before.encode(), family, 0).decode() == after


def test_nothing_outside_functions_and_no_signature_is_changed() -> None:
    source = b"X = 1 + 2\n\n\ndef f(a=1, b: int = 2) -> list[3]:\n    pass\n"
    assert mutate.find(source) == []


def test_every_mutation_of_the_bundled_package_can_be_made() -> None:
    source = bundled_files()["tinykit/intervals.py"]
    found = mutate.find(source)
    assert len(found) > 50
    for mutation in found[::5]:
        assert mutate.apply(source, mutation.family, mutation.index) != source or mutation.family == "shuffle_lines"


def test_mutation_errors() -> None:
    with pytest.raises(ConfigError, match="Unknown family"):
        mutate.apply(b"", "nothing", 0)
    with pytest.raises(ConfigError, match="has 0 places"):
        mutate.apply(b"", "remove_loop", 0)
    with pytest.raises(DataError, match="libcst"):
        mutate.find(b"def (")


# ---------------------------------------------------------------------- issues


def test_issue_names_visible_tests_and_no_place() -> None:
    failing = ["tests/test_a.py::PathTest::test_two_ways", "tests/test_a.py::PathTest::test_hidden"]
    messages = {failing[0]: "AssertionError: 3 != 4 at /x/y.py:12 line 7", failing[1]: "KeyError: 'a'"}
    text = issue.write("id", "pkg", failing, messages, {failing[0]})
    assert "path: two ways: 3 != 4" in text and "KeyError" in text
    assert "y.py" not in text and "line 7" not in text
    assert failing[0] in text and failing[1] not in text
    assert text == issue.write("id", "pkg", failing, messages, {failing[0]})


@pytest.mark.parametrize("name", ["bundled", "manifest"])
def test_no_issue_gives_the_place_away(name: str) -> None:
    for bug in tasks.load(name).bugs.values():
        assert bug.path not in bug.statement, bug.instance_id
        named = bug.statement.replace(",", " ").replace(". ", " ").split()
        assert not {test.split("[")[0] for test in bug.hidden} & {word.rstrip(".") for word in named}, bug.instance_id


# ---------------------------------------------------------------------- the dataset


def test_bundled_bugs_are_what_was_verified() -> None:
    dataset = tasks.load("bundled")
    assert len(dataset.bugs) >= 100
    for bug in dataset.bugs.values():
        planted = tasks.plant(bug, BUNDLED)
        assert planted != bundled_files()[bug.path]
        assert set(bug.fail_to_pass) <= dataset.passing[bug.package]
        assert bug.hidden and set(bug.hidden) <= set(bug.fail_to_pass)
        assert bug.weights and abs(sum(bug.weights) - 1) < 1e-4


def test_splits_share_no_function() -> None:
    places: dict[tuple[str, str, str], set[str]] = {}
    for name in ("bundled", "manifest"):
        for bug in tasks.load(name).bugs.values():
            places.setdefault((bug.package, bug.path, bug.target), set()).add(bug.split)
    assert all(len(splits) == 1 for splits in places.values())


def test_manifest_is_large_enough_and_pinned() -> None:
    dataset = tasks.load("manifest")
    used = {bug.package for bug in dataset.bugs.values()}
    assert len(dataset.bugs) >= 300 and len(used) >= 8
    for key in used:
        package = dataset.packages[key]
        assert len(package.sha256) == 64 and package == packages.PACKAGES[key]
    assert all("old" not in bug.recipe for bug in dataset.bugs.values()), "third-party source must not be shipped"


def test_agents_copy_lacks_hidden_tests() -> None:
    dataset = tasks.load("bundled")
    for bug in list(dataset.bugs.values())[:30]:
        for path, source in visible_tests(bug, bundled_files()).items():
            left = functions(source)
            assert not any(function_of(test) == (path, names) for test in bug.hidden for names in left)


def test_rows_are_swe_bench_instances() -> None:
    dataset = tasks.load("bundled")
    bug = next(iter(dataset.bugs.values()))
    planted, pristine = tasks.plant(bug, BUNDLED), bundled_files()
    row = to_row(bug, BUNDLED, pristine, planted, dataset.pass_to_pass(bug))
    given = {**pristine, bug.path: planted, **visible_tests(bug, pristine)}
    fixed = {**given, **patches.apply(row["patch"], given.get), **patches.apply(row["test_patch"], given.get)}
    assert fixed == pristine and row["test_patch"]
    assert json.loads(row["FAIL_TO_PASS"]) == list(bug.fail_to_pass)
    assert not set(json.loads(row["PASS_TO_PASS"])) & set(bug.fail_to_pass)
    assert row["patch"].startswith(f"diff --git a/{bug.path} b/{bug.path}\n--- a/{bug.path}\n+++ b/{bug.path}\n@@")
    assert all(isinstance(value, str) for value in row.values())


def test_bug_round_trips_and_bad_text_is_refused() -> None:
    bug = next(iter(tasks.load("bundled").bugs.values()))
    assert Bug.from_dict(json.loads(json.dumps(bug.to_dict()))) == bug
    with pytest.raises(DataError, match="once"):
        apply_text(b"a a", {"old": "a", "new": "b"})


def test_dataset_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="neither"):
        tasks.load("nowhere.json")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(DataError, match="not a file of tasks"):
        tasks.load(str(tmp_path / "bad.json"))
    with pytest.raises(ConfigError, match="No tasks of a package 'x'"):
        tasks.load("bundled").only(["x"])
    with pytest.raises(ConfigError, match=r"toolz-1\.2\.0"):
        packages.get("toolz==1.2.1")


def test_source_rules() -> None:
    package = Package("p", "1", "pytest", ("src/p",), ("src/p/tests", "test_p.py"))
    assert package.is_source("src/p/a.py")
    for path in (
        "src/p/tests/a.py",
        "src/p/conftest.py",
        "src/p/sitecustomize.py",
        "a.py",
        "src/p/a.pth",
        "src/px/a.py",
    ):
        assert not package.is_source(path)


@given(
    st.dictionaries(st.sampled_from("abc"), st.binary(max_size=20)),
    st.dictionaries(st.sampled_from("abc"), st.binary()),
)
@settings(max_examples=50)
def test_diff_is_empty_exactly_for_equal_trees(before: dict[str, bytes], after: dict[str, bytes]) -> None:
    assert (unified_diff(before, after) == "") == (before == after)


# ---------------------------------------------------------------------- reports


def _report(*lines: object, code: int = 1) -> ExecResult:
    text = json.dumps({"code": code, "lines": list(lines), "text": ""})
    return ExecResult(0, text.encode(), b"")


DONE = {"done": True, "code": 1, "changed": []}


def test_report_is_trusted_only_when_it_fits() -> None:
    passed = {"id": "t", "outcome": "passed"}
    failed = {"id": "t", "outcome": "failed", "message": "m"}
    good = read_report(_report(passed, DONE))
    assert good.complete and not good.suspicious and good.outcomes == {"t": "passed"}
    assert not read_report(_report(passed)).complete
    assert "twice" in read_report(_report(passed, failed, DONE)).suspicious
    assert "something else" in read_report(_report(DONE, passed)).suspicious
    assert "something else" in read_report(_report({"garbled": True}, DONE)).suspicious
    assert "exit code" in read_report(_report(passed, DONE, code=0)).suspicious
    assert "changed" in read_report(_report(passed, {**DONE, "changed": ["unittest.case"]})).suspicious
    assert "unknown outcome" in read_report(_report({"id": "t", "outcome": "great"}, DONE)).suspicious
    assert read_report(ExecResult(137, b"", b"", timed_out=True)).timed_out
    with pytest.raises(Fault, match="supervisor"):
        read_report(ExecResult(1, b"Traceback", b""))


# ---------------------------------------------------------------------- fetching


def _archive(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"pkg-1/{name}")
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def test_fetched_archives_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTGYM_CACHE", str(tmp_path))
    package = Package("pkg", "1", "unittest", ("pkg",), ("tests",), sha256="0" * 64)
    path = tmp_path / "swe" / "sources" / "pkg-1.tar.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(_archive({"pkg/a.py": "x = 1\n", ".hidden/b": "", "../up": ""}))
    assert fetch.is_fetched(package)
    with pytest.raises(DataError, match="expected 0000"):
        fetch.files_of(package)
    free = Package("pkg", "1", "unittest", ("pkg",), ("tests",))
    assert fetch.files_of(free) == {"pkg/a.py": b"x = 1\n"}


def test_shell_commands_that_have_a_tool() -> None:
    assert better_tool(Action("bash", {"command": "cat a.py"}))
    assert better_tool(Action("bash", {"command": "grep -rn x ."}))
    assert not better_tool(Action("bash", {"command": "cat a.py | sort"}))
    assert not better_tool(Action("bash", {"command": "python x.py"}))
    assert not better_tool(Action("view", {"path": "a"}))


def test_source_with_warnings_is_read_without_them() -> None:
    assert functions(b"def test_a():\n    assert '\\/' is 'x'\n") == [("test_a",)]
    assert syntax_problem("a.py", None, "x = '\\/'\n") == ""
    assert "line 1" in syntax_problem("a.py", "x = 1\n", "x = \n")
    assert syntax_problem("a.py", "x = \n", "y = \n") == "", "what is broken already may be edited"
