"""Published question files and corpora, written small in their own formats."""

import csv
import json

import pytest

from agentgym import AgentGymError, make
from agentgym.environments.search.datasets import READERS, read_dataset
from agentgym.environments.search.files import file_library

CONTEXT = [
    ["Velm", ["Velm lies on the Sorga.", " It is old."]],
    ["Sorga", ["The Sorga rises on Tax."]],
    ["Barge", ["A barge."]],
]
FACTS = [["Velm", 0], ["Sorga", 0]]
QUESTION = "Where does the river of Velm rise?"


def jsonl(rows):
    return "\n".join(json.dumps(row) for row in rows) + "\n"


def table(delimiter, rows):
    import io

    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


HOTPOT = {
    "_id": "h1",
    "question": QUESTION,
    "answer": "Tax",
    "type": "bridge",
    "level": "hard",
    "context": CONTEXT,
    "supporting_facts": FACTS,
}
COLUMNS = {
    **HOTPOT,
    "context": {"title": [c[0] for c in CONTEXT], "sentences": [c[1] for c in CONTEXT]},
    "supporting_facts": {"title": ["Velm", "Sorga"], "sent_id": [0, 0]},
}
MUSIQUE = {
    "id": "2hop__1_2",
    "question": QUESTION,
    "answer": "Tax",
    "answer_aliases": ["Mount Tax"],
    "answerable": True,
    "paragraphs": [
        {"idx": i, "title": title, "paragraph_text": "".join(text), "is_supporting": i < 2}
        for i, (title, text) in enumerate(CONTEXT)
    ],
    "question_decomposition": [
        {"id": 1, "question": "Velm >> river", "answer": "Sorga", "paragraph_support_idx": 0},
        {"id": 2, "question": "where does #1 rise", "answer": "Tax", "paragraph_support_idx": 1},
    ],
}
FILES = {
    "hotpotqa": json.dumps([HOTPOT]),
    "2wikimultihopqa": jsonl([{**HOTPOT, "context": json.dumps(CONTEXT), "supporting_facts": json.dumps(FACTS)}]),
    "musique": jsonl([MUSIQUE]),
    "nq": jsonl([{"question": QUESTION, "answer": ["Tax", "Mount Tax", "Tax"]}]),
    "triviaqa": json.dumps(
        {"Data": [{"Question": QUESTION, "QuestionId": "tc_1", "Answer": {"Value": "Tax", "Aliases": ["Mount Tax"]}}]}
    ),
    "popqa": table("\t", [{"id": 1, "subj": "Velm", "question": QUESTION, "possible_answers": '["Tax", "Mount Tax"]'}]),
    "bamboogle": table(",", [{"Question": QUESTION, "Answer": "Tax"}]),
    "flashrag": jsonl([{"id": "test_0", "question": QUESTION, "golden_answers": ["Tax"], "metadata": {}}]),
}


@pytest.fixture
def path_of(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_every_format_has_a_sample():
    assert FILES.keys() == READERS.keys()


@pytest.mark.parametrize("dataset", FILES)
def test_reads_each_format(path_of, dataset):
    (example,) = read_dataset(path_of("data", FILES[dataset]), dataset)
    assert example.question == QUESTION
    assert example.answers[0] == "Tax"
    assert len(example.answers) == len(set(example.answers))


@pytest.mark.parametrize("text", [json.dumps([HOTPOT]), jsonl([COLUMNS]), json.dumps([COLUMNS])])
def test_hotpot_variants_are_one(path_of, text):
    (example,) = read_dataset(path_of("data", text), "hotpotqa")
    assert example.paragraphs[0] == ("Velm", "Velm lies on the Sorga. It is old.")
    assert [step.title for step in example.steps] == ["Velm", "Sorga"]


def test_musique_steps_are_its_decomposition(path_of):
    (example,) = read_dataset(path_of("data", FILES["musique"]), "musique")
    assert [step.query for step in example.steps] == ["Velm river", "where does Sorga rise"]
    assert example.answers == ("Tax", "Mount Tax")
    row = {**MUSIQUE, "answerable": False}
    (example,) = read_dataset(path_of("other", jsonl([row])), "musique")
    assert (example.kind, example.answers[0]) == ("unanswerable", "unanswerable")


@pytest.mark.parametrize("dataset", FILES)
def test_broken_files_name_the_row(path_of, dataset):
    text = {"triviaqa": '{"Data": [{}]}', "popqa": "a\tb\n1\t2\n", "bamboogle": "a,b\n1,2\n"}.get(dataset, '{"a": 1}\n')
    place = "entry 1" if dataset == "triviaqa" else "line 2" if text.count("\n") == 2 else "line 1"
    with pytest.raises(AgentGymError, match=rf"^data, {place}: not a {dataset} row \(KeyError: '.*'\). Expected"):
        list(read_dataset(path_of("data", text), dataset))


@pytest.mark.parametrize(
    ("dataset", "text", "words"),
    [
        ("nq", jsonl([{"question": QUESTION, "answer": ["Tax"]}]) + '\n\n{"question": ', "line 4"),
        ("nq", jsonl([{"question": QUESTION, "answer": ["Tax"]}, {"question": QUESTION}]), "line 2.*'answer'"),
        ("nq", jsonl([{"question": QUESTION, "answer": []}]), "line 1.*empty"),
        ("nq", jsonl([{"question": "", "answer": ["Tax"]}]), "line 1.*empty"),
        ("nq", jsonl([3, ["a"]]), "line 1"),
        ("nq", jsonl([["a"], 3]), "the whole"),
        ("hotpotqa", json.dumps([HOTPOT, {**HOTPOT, "answer": None}]), "entry 2"),
        (
            "hotpotqa",
            json.dumps([HOTPOT, {key: HOTPOT[key] for key in HOTPOT if key != "answer"}]),
            "entry 2.*'answer'",
        ),
        ("hotpotqa", "[{", "the whole.*line 1 column"),
        ("2wikimultihopqa", json.dumps([{**HOTPOT, "context": 3}]), "entry 1"),
        ("musique", jsonl([{**MUSIQUE, "paragraphs": [{"title": "x"}]}]), "line 1.*'paragraph_text'"),
        ("triviaqa", "[]", "the whole"),
        ("triviaqa", json.dumps({"Data": [{"Question": QUESTION}]}), "entry 1.*'Answer'"),
        ("popqa", table("\t", [{"question": QUESTION, "possible_answers": "Tax"}]), "line 2"),
        ("popqa", 'question\tpossible_answers\n"x', "the whole"),
        ("bamboogle", table(",", [{"Question": QUESTION, "Answer": "Tax"}, {"Question": "", "Answer": "x"}]), "line 3"),
        ("flashrag", jsonl([{"question": QUESTION, "golden_answers": None}]), "line 1"),
    ],
)
def test_what_is_wrong_with_a_row_is_said(path_of, dataset, text, words):
    with pytest.raises(AgentGymError, match=f"data, {words}"):
        list(read_dataset(path_of("data", text), dataset))


def test_files_that_are_no_text(tmp_path):
    (tmp_path / "data").write_bytes(b"\xff\xfe\x00")
    for dataset in READERS:
        with pytest.raises(AgentGymError, match="data, the whole"):
            list(read_dataset(tmp_path / "data", dataset))


def test_sentences_with_and_without_blanks_become_one_paragraph(path_of):
    """HotpotQA's sentences begin with a blank, 2WikiMultihopQA's don't."""
    rows = [{**HOTPOT, "context": [["Velm", ["Velm lies on the Sorga.", "It is old."]], *CONTEXT[1:]]}]
    (example,) = read_dataset(path_of("data", json.dumps(rows)), "2wikimultihopqa")
    assert example.paragraphs[0] == ("Velm", "Velm lies on the Sorga. It is old.")


def test_other_names_of_2wikis_answers_lie_beside_its_questions(path_of):
    rows = [{**HOTPOT, "answer_id": "Q7", "evidences": [], "entity_ids": "Q1_Q2"}, {**HOTPOT, "answer_id": None}]
    path = path_of("dev.json", json.dumps(rows))
    assert [example.answers for example in read_dataset(path, "2wikimultihopqa")] == [("Tax",), ("Tax",)]
    names = path_of("id_aliases.json", jsonl([{"Q_id": "Q7", "aliases": ["Mount Tax", "Tax"], "demonyms": ["Taxer"]}]))
    first, second = read_dataset(path, "2wikimultihopqa")
    assert (first.answers, second.answers) == (("Tax", "Mount Tax", "Taxer"), ("Tax",))
    assert next(read_dataset(path, "hotpotqa")).answers == ("Tax",)
    names.write_text('{"Q_id": "Q7"}\n', encoding="utf-8")
    with pytest.raises(AgentGymError, match=r"id_aliases.json, line 1.*'aliases'"):
        list(read_dataset(path, "2wikimultihopqa"))


WORDS = ["<P>", "The", "Sorga", "rises", "on", "Mount", "Tax", ".", "</P>"]
SPAN = {"start_token": 5, "end_token": 7, "start_byte": 0, "end_byte": 9}


def annotation(spans=(), said="NONE"):
    return {"long_answer": {"start_token": 0, "end_token": 9}, "short_answers": list(spans), "yes_no_answer": said}


@pytest.mark.parametrize("simplified", [True, False])
def test_natural_questions_itself(path_of, simplified):
    page = (
        {"document_text": " ".join(WORDS), "long_answer_candidates": []}
        if simplified
        else {"document_tokens": [{"token": word, "html_token": word.startswith("<")} for word in WORDS]}
    )
    common = {"question_text": "where does the sorga rise", "example_id": 1, "document_url": "x", **page}
    rows = [
        {**common, "annotations": [annotation([SPAN]), annotation([SPAN, {"start_token": 6, "end_token": 9}])]},
        {**common, "annotations": [annotation()]},  # nobody found a short answer
        {**common, "annotations": [annotation(said="YES"), annotation(said="NONE")]},
    ]
    found = [example.answers for example in read_dataset(path_of("data", jsonl(rows)), "nq")]
    assert found == [("Mount Tax", "Tax ."), ("yes",)]
    del rows[0]["annotations"][0]["yes_no_answer"]
    with pytest.raises(AgentGymError, match=r"line 1.*yes_no_answer"):
        list(read_dataset(path_of("other", jsonl(rows)), "nq"))


def test_spreadsheets_begin_with_a_byte_order_mark(path_of):
    text = "\ufeff" + table(",", [{"Question": QUESTION, "Answer": "Tax"}])
    assert next(read_dataset(path_of("data", text), "bamboogle")).answers == ("Tax",)
    text = "\ufeff" + jsonl([{"question": QUESTION, "answer": ["Tax"]}])
    assert next(read_dataset(path_of("more", text), "nq")).answers == ("Tax",)


def test_files_that_are_empty_missing_or_ambiguous(path_of, tmp_path):
    with pytest.raises(AgentGymError, match="no hotpotqa question"):
        make("agentgym/Search-v0", questions=str(path_of("data", "[]")), dataset="hotpotqa")
    questions = str(path_of("nq", FILES["nq"]))
    for corpus, words in (
        (tmp_path / "nowhere", "no corpus"),
        (path_of("none", "\n"), "no document"),
        (path_of("twins", jsonl([{"id": 1, "contents": "a"}, {"id": "1", "contents": "b"}])), "share an id"),
    ):
        with pytest.raises(AgentGymError, match=words):
            make("agentgym/Search-v0", questions=questions, dataset="nq", corpus=str(corpus))


def test_a_changed_file_is_read_again(path_of):
    def question():
        return file_library(str(path), "hotpotqa").questions.record(0)["question"]

    path = path_of("data", FILES["hotpotqa"])
    assert question() == QUESTION
    path_of("data", json.dumps([{**HOTPOT, "question": "What else?"}]))
    assert question() == "What else?"


def test_unknown_data_set_and_missing_file(path_of, tmp_path):
    with pytest.raises(AgentGymError, match="hotpotqa"):
        list(read_dataset(path_of("data", ""), "hotpot"))
    with pytest.raises(AgentGymError, match="no file"):
        list(read_dataset(tmp_path / "none", "nq"))


def expert_plays(env, seed=0):
    env.reset(seed=seed)
    info = {}
    while env.running:
        info = env.step(env.expert_message())[4]
    return info, env.game.state


@pytest.mark.parametrize("dataset", ["hotpotqa", "2wikimultihopqa", "musique"])
def test_playing_with_the_questions_own_paragraphs(path_of, dataset):
    path = str(path_of("data", FILES[dataset]))
    env = make("agentgym/Search-v0", questions=path, dataset=dataset, top_k=1)
    info, state = expert_plays(env)
    assert info["success"]
    assert state.covered == {0, 1}


def test_playing_with_a_corpus_of_ones_own(path_of):
    corpus = path_of(
        "wiki.jsonl", jsonl([{"id": f"w{i}", "contents": f'"{t}"\n{"".join(s)}'} for i, (t, s) in enumerate(CONTEXT)])
    )
    questions = {"train": str(path_of("train", FILES["hotpotqa"])), "test": str(path_of("test", FILES["hotpotqa"]))}
    env = make("agentgym/Search-v0", questions=questions, dataset="hotpotqa", corpus=str(corpus))
    assert expert_plays(env)[1].covered == {0, 1}
    assert env.game.tasks().splits == ("train", "test")
    nq = make("agentgym/Search-v0", questions=str(path_of("nq", FILES["nq"])), dataset="nq", corpus=str(corpus))
    info, state = expert_plays(nq)
    assert info["success"] and not state.steps


@pytest.mark.parametrize("written", ['"Velm" (album)', '""Velm" (album)"', '"""Velm"" (album)"', "Velm (album)"])
def test_titles_with_quotes_are_found_however_a_corpus_writes_them(path_of, written):
    title = '"Velm" (album)'
    row = {**HOTPOT, "context": [[title, ["Velm."]]], "supporting_facts": [[title, 0]]}
    path = str(path_of("data", json.dumps([row])))
    corpus = path_of("wiki.jsonl", jsonl([{"id": "7", "contents": f"{written}\nVelm."}]))
    for library in (file_library(path, "hotpotqa", str(corpus)), file_library(path, "hotpotqa")):
        assert [step["documents"] for step in library.questions.record(0)["chain"]] == [[0]]


def test_a_proof_whose_documents_are_missing_is_unknown(path_of):
    corpus = path_of("wiki.jsonl", jsonl([{"id": "0", "title": "Velm", "text": "Velm."}]))
    library = file_library(str(path_of("data", FILES["hotpotqa"])), "hotpotqa", str(corpus))
    assert library.questions.record(0)["chain"] == []
    assert library.corpus[0].title == "Velm"


def test_questions_without_any_documents(path_of):
    path = str(path_of("data", FILES["nq"]))
    with pytest.raises(AgentGymError, match="Name a corpus"):
        make("agentgym/Search-v0", questions=path, dataset="nq")
    with pytest.raises(AgentGymError, match="give both"):
        make("agentgym/Search-v0", questions=path)


def test_broken_corpora_name_the_line(path_of):
    path = path_of("wiki.jsonl", '{"id": 1, "contents": "a"}\n\n{"id": 2}\n')
    with pytest.raises(AgentGymError, match="line 3"):
        file_library(str(path_of("data", FILES["nq"])), "nq", str(path))
