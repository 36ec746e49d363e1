"""What WebArena's tasks measure, and which of it counts."""

from __future__ import annotations

from collections.abc import Mapping

from agentgym.core.rewards import EXECUTABLE, FORMAT, TURN_COST, Component, RewardScheme, accumulate
from agentgym.environments.web.rewards import INVALID, READING, REPEAT

SCORE = Component("score", "outcome", 0.0, 1.0, "At the end: product of the task's evaluators, as published.")
STRING = Component("string_match", "process", 0.0, 1.0, "At the end: whether the answer is right.")
URL = Component("url_match", "process", 0.0, 1.0, "At the end: whether the right page is shown.")
PAGE = Component("program_html", "process", 0.0, 1.0, "At the end: whether pages hold what they must.")
IMAGE = Component("page_image_query", "process", 0.0, 1.0, "At the end: whether the pictures are the right ones.")

COMPONENTS = (SCORE, STRING, URL, PAGE, IMAGE, FORMAT, EXECUTABLE, INVALID, REPEAT, READING, TURN_COST)

_SHAPED = {"format": 0.01, "invalid_action": 0.02, "repeat": 0.02, "reading": 0.002, "turn_cost": 0.01}
SCHEMES: Mapping[str, RewardScheme] = {
    "gated": RewardScheme(
        "gated",
        {"score": 1.0, **_SHAPED},
        (accumulate(tuple(_SHAPED), on="score", at_least=1.0, name="task solved"),),
    ),
    "outcome": RewardScheme("outcome", {"score": 1.0}),
    "dense": RewardScheme(
        "dense",
        {"score": 1.0, "string_match": 0.1, "url_match": 0.1, "program_html": 0.1, "page_image_query": 0.1, **_SHAPED},
    ),
}
