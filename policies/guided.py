"""Reward-guided search: another policy proposes, a judge of steps decides, forks of the environment show what comes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agentgym.core.errors import ConfigError, UnsupportedError
from agentgym.core.judging import Judge, close_judge, make_judge
from agentgym.core.policy import Completion, Policy, Request, Usage
from agentgym.core.seeding import derive_seed
from agentgym.core.text import Message
from agentgym.policies.scripted import live
from agentgym.policies.step_judge import PRINCIPLES, Candidate, Situation, StepJudge


class GuidedPolicy(Policy):
    """Plays the best of several proposals.

    With ``depth`` 1, best of n: n messages are drawn, each is played in a fork, and the judge prefers one in a
    knockout. With a larger ``depth``, beam search: every branch is rated after every turn, the ``width`` best by their
    mean rating go on, and the first message of the best branch is played; at the next turn it is searched anew. Rewards
    and success of the forks are never looked at. The completion is the proposer's own, tokens included.

    Args:
        policy: Proposes: a policy, or the name of one.
        judge: Decides: a judge, or a table for `agentgym.core.judging.make_judge`.
        samples: Messages that are drawn a turn and branch.
        width: Branches that go on.
        depth: Turns that are looked ahead.
        lookahead: Play proposals in forks. False: the judge sees the messages alone; then ``depth`` must be 1.
        principles: For the judge.
        both_orders: See ``StepJudge``.
        policy_args: Arguments of the proposer, where a name is given.

    Raises:
        ConfigError: An argument is wrong.
    """

    name = "guided"
    bound = True

    def __init__(
        self,
        policy: Policy | str,
        judge: Judge | Mapping[str, Any],
        *,
        samples: int = 5,
        width: int = 2,
        depth: int = 1,
        lookahead: bool = True,
        principles: Sequence[str] = PRINCIPLES,
        both_orders: bool = False,
        policy_args: Mapping[str, Any] | None = None,
    ) -> None:
        from agentgym.policies import POLICIES

        if min(samples, width, depth) < 1:
            raise ConfigError(f"samples, width and depth must be at least 1, got {samples}, {width} and {depth}.")
        if depth > 1 and not lookahead:
            raise ConfigError("Beam search (depth above 1) plays in forks: it needs lookahead=True.")
        found = make_judge(judge)
        if found is None:
            raise ConfigError("A guided policy needs a judge: give judge={'model': ..., 'base_url': ...}.")
        self.proposer = POLICIES.get(policy)(**dict(policy_args or {})) if isinstance(policy, str) else policy
        self.judge = StepJudge(found, principles, both_orders=both_orders)
        self.samples, self.width, self.depth, self.lookahead = samples, width, depth, lookahead
        self.renderer, self.context = self.proposer.renderer, self.proposer.context
        self.weight_version = self.proposer.weight_version
        self.deterministic = self.proposer.deterministic and bool(getattr(found, "deterministic", True))

    async def act(self, request: Request) -> Completion:
        """See ``Policy.act``."""
        env = live(request, self.name)
        if self.lookahead and not type(env.game).capabilities.fork:
            raise UnsupportedError("This environment can't be forked (see its capabilities): give lookahead=False.")
        root = _Branch(request, env)
        try:
            best = await (self._best(root) if self.depth == 1 else self._beam(root))
        finally:
            self.weight_version = self.proposer.weight_version
        return best

    def close(self) -> None:
        """Closes proposer and judge."""
        self.proposer.close()
        close_judge(self.judge.judge)

    # ------------------------------------------------------------------ best of n

    async def _best(self, root: _Branch) -> Completion:
        proposals, usage = await self._propose(root)
        number = 0
        if len(proposals) > 1:
            candidates = [await self._candidate(root, proposal) for proposal in proposals]
            number = (await asyncio.to_thread(self.judge.best, root.situation, candidates))[0]
        return replace(proposals[number], usage=usage)

    async def _candidate(self, root: _Branch, proposal: Completion) -> Candidate:
        if not self.lookahead:
            return Candidate(proposal.text)
        branch = await asyncio.to_thread(root.play, proposal, self.proposer)
        await asyncio.to_thread(branch.close)
        return Candidate(proposal.text, branch.result)

    async def _propose(self, branch: _Branch) -> tuple[list[Completion], Usage | None]:
        """Distinct proposals, those that can be understood if there are any, and what all of them cost."""
        seeds = [derive_seed(branch.request.seed, "sample", number) for number in range(self.samples)]
        env = branch.env if self.proposer.bound else None
        requests = [replace(branch.request, seed=seed, env=env) for seed in seeds]
        drawn = await asyncio.gather(*(self.proposer.act(request) for request in requests))
        costs = [completion.usage for completion in drawn if completion.usage is not None]
        usage = costs[0] if costs else None
        for cost in costs[1:]:
            usage = usage.plus(cost) if usage is not None else cost
        distinct: dict[str, Completion] = {}
        unread: dict[str, Completion] = {}
        for completion in drawn:
            parsed = branch.env.action_format.parse(completion.text, branch.env.tools_by_name)
            if parsed.error:
                unread.setdefault(completion.text, completion)
            else:
                distinct.setdefault("; ".join(map(str, parsed.actions)), completion)
        return list((distinct or unread).values()), usage

    # ------------------------------------------------------------------ beam

    async def _beam(self, root: _Branch) -> Completion:
        beam, spent = [root], Usage()
        opened: list[_Branch] = []
        try:
            for _ in range(self.depth):
                grown: list[_Branch] = []
                for branch in beam:
                    if branch.over:
                        grown.append(branch)
                        continue
                    proposals, usage = await self._propose(branch)
                    spent = spent.plus(usage or Usage())
                    for proposal in proposals:
                        child = await asyncio.to_thread(branch.play, proposal, self.proposer)
                        opened.append(child)
                        candidate = Candidate(proposal.text, child.result)
                        rating = await asyncio.to_thread(self.judge.rate, branch.situation, candidate)
                        child.ratings = (*branch.ratings, rating.value if rating is not None else 0.0)
                        grown.append(child)
                beam = sorted(grown, key=lambda branch: -branch.worth)[: self.width]
                if all(branch.over for branch in beam):
                    break
        finally:
            for branch in opened:
                await asyncio.to_thread(branch.close)
        first = beam[0].first
        assert first is not None, "the first turn was played"
        return replace(first, usage=spent if spent != Usage() else first.usage)


@dataclass
class _Branch:
    """A state of the environment and the conversation that leads to it. The root is the episode itself."""

    request: Request
    env: Any
    first: Completion | None = None
    result: str = ""
    ratings: tuple[float, ...] = ()

    @property
    def over(self) -> bool:
        """Whether the episode has ended here."""
        return not self.env.running

    @property
    def worth(self) -> float:
        """Mean rating of the turns on the way."""
        return sum(self.ratings) / len(self.ratings) if self.ratings else 0.0

    @property
    def situation(self) -> Situation:
        """What the judge is told."""
        messages = self.request.messages
        told = [message["content"] for message in messages if message["role"] != "assistant"]
        task = next((message["content"] for message in messages if message["role"] == "user"), "")
        done = [message["content"] for message in messages if message["role"] == "assistant"]
        return Situation(task, done, told[-1] if told else "")

    def play(self, proposal: Completion, policy: Policy) -> _Branch:
        """A fork in which a proposal was played."""
        fork = self.env.fork()
        try:
            observation = fork.step(proposal.text)[0]
        except Exception:
            fork.close()
            raise
        answer: Message = {"role": "assistant", "content": proposal.text}
        following = replace(
            self.request,
            turn=self.request.turn + 1,
            messages=[*self.request.messages, answer, *fork.messages],
            prompt_ids=self._ids(proposal, fork, policy),
            seed=derive_seed(self.request.seed, "after", proposal.text),
            env=None,
        )
        return _Branch(following, fork, self.first or proposal, observation if fork.running else "", self.ratings)

    def _ids(self, proposal: Completion, fork: Any, policy: Policy) -> list[int] | None:
        """The context after a proposal as tokens, where the proposer has any."""
        before, renderer = self.request.prompt_ids, policy.renderer
        if before is None or renderer is None or proposal.token_ids is None:
            return None
        closed = renderer.is_closed(proposal.token_ids)
        return [*before, *proposal.token_ids, *renderer.suffix(fork.messages, self.request.layout, closed=closed)]

    def close(self) -> None:
        """Closes the fork."""
        self.env.close()
