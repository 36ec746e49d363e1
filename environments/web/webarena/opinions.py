"""What WebArena's graders ask a language model: whether an answer means the same, and what a picture shows.

The agent's text goes into the question as data (`agentgym.core.judging.quoted`), and only the last line of the reply
counts, so that neither an order to the judge nor a quotation of one decides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from agentgym.core.errors import Boundary, Fault
from agentgym.core.judging import DATA_RULE, Judge, quoted
from agentgym.core.text import Message

_TRIES = 2
_VERDICT = re.compile(r"verdict\W*(partially[ _]correct|correct|incorrect|same|different)\W*", re.IGNORECASE)


def same_answer(judge: Judge, intent: str, reference: str, answer: str) -> bool:
    """Whether an answer means what the reference says. Partly right is wrong."""
    question = (
        "Grade an answer. It is correct when it means the same as the reference answer, in whatever words, and leaves"
        " nothing out. 'N/A' stands for: can't be done.\n"
        f"Question: {quoted(intent)}\nReference answer: {quoted(reference)}\nAnswer to grade: {quoted(answer)}\n"
        "Think briefly. The last line of your reply is 'Verdict: correct', 'Verdict: partially correct' or"
        " 'Verdict: incorrect'."
    )
    return _verdict(judge, question, ("correct", "incorrect", "partially correct")) == "correct"


def same_reason(judge: Judge, intent: str, reason: str, report: str) -> bool:
    """Whether a report says, in whatever words, that the task fails for this reason."""
    question = (
        "A task can't be done, for the reason given. Someone tried and wrote a report. Compare: does the report name"
        " that reason, openly or by implication?\n"
        f"Task: {quoted(intent)}\nReason: {quoted(reason)}\nReport: {quoted(report)}\n"
        "Think briefly. The last line of your reply is 'Verdict: same' or 'Verdict: different'."
    )
    return _verdict(judge, question, ("same", "different")) == "same"


def seen(judge: Judge, question: str, image: bytes) -> str:
    """What a judge that can look says of a picture."""
    messages = _messages(f"Answer in a few words. Question about the picture: {quoted(question)}")
    return judge(messages, (image,))


def _messages(question: str) -> list[Message]:
    return [{"role": "system", "content": DATA_RULE}, {"role": "user", "content": question}]


def _verdict(judge: Judge, question: str, known: Sequence[str]) -> str:
    """The verdict in the last line; a reply without one is asked for again, then the episode is unscored."""
    messages = _messages(question)
    for _ in range(_TRIES):
        reply = judge(messages)
        lines = reply.strip().splitlines()
        match = _VERDICT.fullmatch(lines[-1].strip().strip("*")) if lines else None
        if match is not None and match[1].lower().replace("_", " ") in known:
            return match[1].lower().replace("_", " ")
        again: list[Message] = [
            {"role": "assistant", "content": reply},
            {"role": "user", "content": f"End with one line: 'Verdict: {' | '.join(known)}'."},
        ]
        messages = [*messages, *again]
    raise Fault(Boundary.GRADER, f"The judge gave no verdict out of {', '.join(known)} in {_TRIES} replies.")
