"""Writes the generated parts of docs/credit.md and one page with a picture a method: ``python docs/build_credit.py``.

``--check`` writes nothing and fails if something on disk is out of date. Needs numpy alone.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from agentgym.credit import COLUMNS, METHODS, RECIPES, Batch, Credit, CreditError, MethodInfo, make
from agentgym.credit.scorers import Arena

DOCS = Path(__file__).parent
PLAYS = (  # what each trajectory of the toy group does, turn by turn, and its outcome
    (("search", "open", "buy"), 1.0),
    (("search", "search", "open", "buy"), 0.0),
    (("buy",), 0.0),
    (("search", "open", "back", "buy"), 1.0),
)
WORDS = 3
"""Policy tokens a turn; two environment tokens follow each turn."""


def toy() -> Batch:
    """One group of four shopping episodes, with every optional column."""
    rng = np.random.default_rng(4)
    turns = [len(actions) for actions, _ in PLAYS]
    outcomes = [outcome for _, outcome in PLAYS]
    spans = [[(5 * t, 5 * t + WORDS) for t in range(count)] for count in turns]
    lengths = [5 * count - 2 for count in turns]
    progress = [np.linspace(0.1, 0.6, count) * outcome + 0.05 for count, (_, outcome) in zip(turns, PLAYS, strict=True)]
    belief = [
        np.log(0.05 + 0.8 * np.linspace(0, outcome, count)) for count, outcome in zip(turns, outcomes, strict=True)
    ]
    score = [
        np.round(rng.uniform(-0.3, 0.3, count) + 0.4 * (o - 0.5), 1) for count, o in zip(turns, outcomes, strict=True)
    ]
    prefix = [np.linspace(0.1, 0.1 + outcome, length) for length, outcome in zip(lengths, outcomes, strict=True)]
    token = [np.round(rng.normal(-1.0, 0.3, length), 2) for length in lengths]
    known = {
        "anchor": [_states(actions) for actions, _ in PLAYS],
        "observation": [_states(actions) for actions, _ in PLAYS],
        "progress": progress,
        "belief": belief,
        "process_reward": score,
        "prm_logits": [np.stack([-s, s], axis=1) for s in score],
        "executable": [[True] * count for count in turns],
        "valid": [[True] * count for count in turns],
        "tool_result": [[action == "search" for action in actions] for actions, _ in PLAYS],
        "tag": [["explore" if action == "search" else "plan" for action in actions] for actions, _ in PLAYS],
        "format_reward": [[0.0] * count for count in turns],
        "turn_value": [np.full(count, 0.5) for count in turns],
        "token_id": [_token_ids(actions) for actions, _ in PLAYS],
        "logprob": token,
        "learner_logprob": token,
        "ref_logprob": token,
        "prm_logprob": [t + np.repeat(np.append(s, 0), 5)[: len(t)] for t, s in zip(token, score, strict=True)],
        "value": [np.full(length, 0.5) for length in lengths],
        "token_process_reward": [
            np.repeat(np.append(s, 0), 5)[:n] / WORDS for s, n in zip(score, lengths, strict=True)
        ],
        "attention": [np.linspace(1, 2, length) for length in lengths],
        "prefix_score": prefix,
        "prompt_score": [0.1] * len(PLAYS),
        "greedy_return": [0.5] * len(PLAYS),
        "bootstrap_value": [0.0] * len(PLAYS),
        "component_reward": [[outcome, 0.1 * count] for count, outcome in zip(turns, outcomes, strict=True)],
    }
    rewards = [[0.0] * (count - 1) + [outcome] for count, outcome in zip(turns, outcomes, strict=True)]
    batch = Batch.build([0] * len(PLAYS), rewards, spans=spans, outcomes=outcomes, columns=known)

    def judge(first: int, second: int) -> tuple[float, float]:
        return outcomes[first] - 0.01 * turns[first], outcomes[second] - 0.01 * turns[second]

    return batch.with_columns(Arena(mode="round_robin")(batch, judge))


def _states(actions: tuple[str, ...]) -> list[str]:
    """The page that each action was taken on."""
    after = {"search": "results", "open": "item", "back": "results"}
    return ["home", *(after[action] for action in actions[:-1])]


def _token_ids(actions: tuple[str, ...]) -> list[int]:
    number = {"search": 1, "open": 2, "buy": 3, "back": 4}
    return [token for action in actions for token in [number[action]] * WORDS + [0, 0]][:-2]


# -- pictures --------------------------------------------------------------------------------------------------------


def picture(batch: Batch, credit: Credit) -> str:
    """The advantages as SVG: one line a trajectory, one cell a token, turn advantages above."""
    cell, row, left = 22, 52, 130
    largest = max(float(np.abs(credit.token).max(initial=0.0)), float(np.abs(credit.turn).max(initial=0.0))) or 1.0
    width = left + cell * (5 * int(batch.turn_counts.max()) - 2) + 12
    height = row * batch.n_trajectories + 14
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    for i, (actions, outcome) in enumerate(PLAYS):
        top = row * i + 26
        parts.append(f'<text x="8" y="{top + 15}" fill="#333333">episode {i + 1}, outcome {outcome:g}</text>')
        begin = int(batch.token_offsets[i])
        for token in range(begin, int(batch.token_offsets[i + 1])):
            x = left + cell * (token - begin)
            fill = _colour(float(credit.token[token]) / largest) if batch.policy_mask[token] else "#eeeeee"
            parts.append(f'<rect x="{x}" y="{top}" width="{cell - 2}" height="20" fill="{fill}" stroke="#bbbbbb"/>')
        for t, action in enumerate(actions):
            value = credit.turn[int(batch.turn_offsets[i]) + t]
            parts.append(
                f'<text x="{left + 5 * cell * t}" y="{top - 5}" fill="#333333">{action} {_signed(value)}</text>'
            )
    return "\n".join([*parts, "</svg>", ""])


def _signed(value: float) -> str:
    shown = f"{value:+.2f}"
    return "0" if shown in ("+0.00", "-0.00") else shown


def _colour(strength: float) -> str:
    """White for 0, blue for +1, red for -1."""
    pale = round(255 * (1.0 - min(abs(strength), 1.0)))
    return f"#{pale:02x}{(pale + 255) // 2:02x}ff" if strength > 0 else f"#ff{pale:02x}{pale:02x}"


# -- pages -----------------------------------------------------------------------------------------------------------


def page(info: MethodInfo) -> str:
    """A method's page."""
    needs = (
        "".join(f"- `{name}` ({_column(name)})\n" for name in info.needs) or "- nothing beyond turn rewards and masks\n"
    )
    presets = "".join(f"| `{name}` | {_values(values)} |\n" for name, values in info.presets.items())
    table = f"\n| preset | sets |\n|---|---|\n{presets}" if presets else ""
    columns = [name for name in info.needs if name != "outcome"]
    source = (
        "batch = to_batch(trajectories)"
        if not columns
        else f"batch = to_batch(trajectories)  # with {', '.join(columns)}"
    )
    return (
        f"# {info.name}\n\n{info.summary}\n\nPaper: {info.paper}. Population: {info.population}.\n\n"
        f"```text\n{info.doc}\n```\n\n"
        f"Default: `{info.default or 'no parameters'}`\n{table}\nReads:\n\n{needs}\n"
        f"```python\nfrom agentgym.credit import make\nfrom agentgym.rollout.batch import to_batch\n\n{source}\n"
        f'credit = make("{info.name}")(batch)  # credit.token, credit.turn, credit.trajectory\n```\n\n'
        f"The toy group: blue tokens are reinforced, red ones discouraged, grey ones are the environment's.\n\n"
        f"![advantages]({info.name}.svg)\n"
    )


def _column(name: str) -> str:
    if name == "outcome":
        return "the batch's own column: final value of the outcome component"
    info = COLUMNS[name]
    return f"one a {info.level}, from {info.producer}: {info.meaning}"


def _values(values: object) -> str:
    assert isinstance(values, dict)
    return ", ".join(f"`{key}={value!r}`" for key, value in values.items())


def table() -> str:
    """The table to choose from."""
    lines = ["| method | what it does | needs | population | paper | presets |", "|---|---|---|---|---|---|"]
    for info in METHODS.values():
        needs = ", ".join(f"`{name}`" for name in info.needs) or "turn rewards"
        presets = ", ".join(f"`{name}`" for name in info.presets)
        cells = (f"[`{info.name}`](credit/{info.name}.md)", info.summary, needs, info.population, info.paper, presets)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def recipes() -> str:
    """Scheme plus method."""
    lines = ["| recipe | what it does | scheme rule | method | paper |", "|---|---|---|---|---|"]
    lines += [f"| {r.name} | {r.summary} | {r.scheme} | `{r.method}` | {r.paper} |" for r in RECIPES.values()]
    return "\n".join(lines)


def columns() -> str:
    """The optional columns."""
    lines = ["| column | level | unit | producer | meaning |", "|---|---|---|---|---|"]
    lines += [f"| `{c.name}` | {c.level} | {c.unit} | {c.producer} | {c.meaning} |" for c in COLUMNS.values()]
    return "\n".join(lines)


# -- edge cases, found out by running them ---------------------------------------------------------------------------


def one_group_each(batch: Batch) -> Batch:
    """Every trajectory alone in its group."""
    return dataclasses.replace(batch, group=np.arange(batch.n_trajectories))


def all_failed(batch: Batch) -> Batch:
    """Every outcome 0, and nothing else paid."""
    return dataclasses.replace(batch, outcome=np.zeros(batch.n_trajectories)).with_turn_rewards(np.zeros(batch.n_turns))


def shaped_failure(batch: Batch) -> Batch:
    """Every outcome 0, but turns paid for something else."""
    return all_failed(batch).with_turn_rewards(
        np.where(batch.turn_index == 0, 0.1 * batch.turn_counts[batch.turn_trajectory], 0)
    )


def text_only(batch: Batch) -> Batch:
    """No tokens."""
    none = np.zeros(batch.n_turns, dtype=np.int64)
    extra = {name: value for name, value in batch.extra.items() if COLUMNS[name].level != "token"}
    return dataclasses.replace(
        batch,
        extra=extra,
        turn_start=none,
        turn_end=none,
        token_offsets=np.zeros(batch.n_trajectories + 1, dtype=np.int64),
        policy_mask=np.zeros(0, dtype=np.bool_),
    )


CASES: dict[str, Callable[[Batch], Batch]] = {
    "group of one": one_group_each,
    "all failed": all_failed,
    "all failed, shaping differs": shaped_failure,
    "no tokens": text_only,
}


def edge_cases() -> str:
    """What every method does in the cases where references disagree."""
    lines = [f"| method | {' | '.join(CASES)} | truncated episode |", "|---|" + "---|" * (len(CASES) + 1)]
    for name, info in METHODS.items():
        found = [_verdict(name, change(toy())) for change in CASES.values()]
        end = "counts as an end; `bootstrap` on request" if "truncation" in info.parameters else "counts as an end"
        lines.append(f"| `{name}` | {' | '.join(found)} | {end} |")
    return "\n".join(lines)


def _verdict(name: str, batch: Batch) -> str:
    try:
        credit = make(name)(batch)
    except CreditError:
        return "refused"
    return "credit" if np.any(credit.turn) else "0"


# -- writing ---------------------------------------------------------------------------------------------------------


def filled(text: str) -> str:
    """The hand-written document with its generated parts filled in."""
    for name, part in (("table", table), ("recipes", recipes), ("edge-cases", edge_cases), ("columns", columns)):
        head, tail = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
        before, rest = text.split(head)
        text = f"{before}{head}\n{part()}\n{tail}{rest.split(tail)[1]}"
    return text


def files() -> dict[Path, str]:
    """Everything that the build writes."""
    batch = toy()
    out = {DOCS / "credit.md": filled((DOCS / "credit.md").read_text(encoding="utf-8"))}
    for name, info in METHODS.items():
        out[DOCS / "credit" / f"{name}.md"] = page(info)
        out[DOCS / "credit" / f"{name}.svg"] = picture(batch, make(name)(batch))
    return out


def main() -> int:
    """Writes or checks; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if something is out of date")
    check = parser.parse_args().check
    written = files()
    on_disk = {path for path in (DOCS / "credit").iterdir() if path.suffix in (".md", ".svg")}
    stale = [path for path, text in written.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    unknown = sorted(on_disk - set(written))
    if check:
        for path in (*stale, *unknown):
            print(f"out of date: {path.relative_to(DOCS)}", file=sys.stderr)
        return 1 if stale or unknown else 0
    for path in stale:
        path.write_text(written[path], encoding="utf-8")
    for path in unknown:
        path.unlink()
    print(f"{len(stale)} files written, {len(unknown)} removed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
