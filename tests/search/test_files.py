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
    with pytest.raises(AgentGymError, match=r"row 1: not a .* Expected"):
        list(read_dataset(path_of("data", text), dataset))


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
