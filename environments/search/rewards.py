"""What Search measures, and which of it counts."""

from __future__ import annotations

from agentgym.core.rewards import EXECUTABLE, FORMAT, Component, Posterior, Renorm, RewardScheme, Schedule, accumulate

MOST_CALLS = 100
"""Tool calls of an episode at most, which bounds the sums of a message with parallel calls."""
NOVELTY_CAP = 20
"""Different documents after which nothing more is new."""
JUDGE_CAP = 5
"""Judgements that count: in sum they are worth at most 1."""

ANSWER_EM = Component("answer_em", "outcome", 0.0, 1.0, "1 when the answer equals an accepted one, normalised.")
ANSWER_F1 = Component("answer_f1", "outcome", 0.0, 1.0, "Token F1 of the answer, the best over the accepted ones.")
ANSWER_COVER = Component(
    "answer_cover", "outcome", 0.0, 1.0, "1 when the answer contains an accepted one and isn't much longer."
)
RETRIEVAL_RECALL = Component(
    "retrieval_recall",
    "process",
    0.0,
    1.0,
    "Share of the proof's steps that a document seen now for the first time states.",
)
RETRIEVAL_NOVELTY = Component(
    "retrieval_novelty", "process", 0.0, 1.0, f"Documents not seen before, of the first {NOVELTY_CAP} of the episode."
)
DOC_RELEVANCE = Component(
    "doc_relevance",
    "process",
    0.0,
    float(MOST_CALLS),
    "R3-RAG's relevance of each search: 1 for a new step of the proof, 0.6 for a new document of a known one, else 0.",
)
JUDGE_CORRECT = Component(
    "judge_correct", "process", -1.0, 1.0, f"ReSeek's judgement: right or wrong, of the first {JUDGE_CAP}."
)
SEARCH_COST = Component(
    "search_cost", "cost", -float(MOST_CALLS), 0.0, "-1 for every search and every opened document."
)
ABSTAIN = Component(
    "unanswerable_abstain",
    "process",
    -1.0,
    1.0,
    "1 for saying that there is no answer where there is none, 0 for another answer; -1 for saying so elsewhere.",
)
OFFICIAL = tuple(
    Component(name, "outcome", 0.0, 1.0, f"The score of that name in its own project ({source}).")
    for name, source in (
        ("searchr1_em", "Search-R1"),
        ("searchr1_em_response_only", "Search-R1 on a response without its prompt: needs two answers"),
        ("searchr1_subem", "Search-R1"),
        ("searchr1_em_format", "Search-R1"),
        ("skyrl_em", "SkyRL"),
        ("skyrl_subem", "SkyRL"),
    )
)

COMPONENTS = (
    ANSWER_EM,
    ANSWER_F1,
    ANSWER_COVER,
    RETRIEVAL_RECALL,
    RETRIEVAL_NOVELTY,
    DOC_RELEVANCE,
    JUDGE_CORRECT,
    SEARCH_COST,
    ABSTAIN,
    *OFFICIAL,
    FORMAT,
    EXECUTABLE,
)

_SHAPED = ("retrieval_recall", "retrieval_novelty", "judge_correct", "format")
_WEIGHTS = {
    "answer_em": 1.0,
    "retrieval_recall": 0.2,
    "retrieval_novelty": 0.02,
    "judge_correct": 0.05,
    "format": 0.005,  # no more than a search costs: a well-formed message that finds nothing is no gain
    "search_cost": 0.005,
}

SCHEMES = {
    # Finding documents pays only if the answer is right in the end: otherwise searching would be a job in itself.
    "gated": RewardScheme("gated", _WEIGHTS, (accumulate(_SHAPED, on="answer_em", at_least=1.0),)),
    "outcome": RewardScheme("outcome", {"answer_em": 1.0}),
    "dense": RewardScheme("dense", _WEIGHTS),
    "f1": RewardScheme("f1", {"answer_f1": 1.0}),
    "searchr1": RewardScheme("searchr1", {"searchr1_em": 1.0}),
    "searchr1-format": RewardScheme("searchr1-format", {"searchr1_em_format": 1.0}),
    "skyrl": RewardScheme("skyrl", {"skyrl_em": 1.0}),
    # as in ReSeek, judging earns nothing without a final answer
    "reseek": RewardScheme(
        "reseek",
        {"answer_em": 1.0, "judge_correct": 0.5},
        (accumulate(("judge_correct",), on="answer_em", at_least=0.0),),
    ),
    "r3-rag": RewardScheme(
        "r3-rag",
        {"answer_em": 2.0, "doc_relevance": 1.6},
        (Posterior("right answers only", ("doc_relevance",), "answer_em", 1.0),),
    ),
    "ppr": RewardScheme(
        "ppr",
        {"answer_em": 1.0, "doc_relevance": 1.0},
        (Renorm("r_p + r_o - 1", ("doc_relevance",), "answer_em"),),
    ),
    "atom-searcher": RewardScheme(
        "atom-searcher",
        {"answer_f1": 1.0, "doc_relevance": 1.0},
        (Schedule("fading process reward", ("doc_relevance",), 0.5, 0.0),),
    ),
}
