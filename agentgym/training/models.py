"""The model of a training run: built or loaded, with LoRA where asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import torch

from agentgym.core.env import AgentEnv
from agentgym.core.errors import ConfigError
from agentgym.core.policy import Policy, Sampling
from agentgym.core.registration import make
from agentgym.core.registry import load
from agentgym.rollout.engine import collect
from agentgym.rollout.jobs import plan
from agentgym.training.config import ModelSection, TrainConfig

TEXT_EPISODES = 400
"""Expert episodes whose text makes the vocabulary of a tiny model."""

TEXT_MISTAKES = 0.3


def make_env(config: TrainConfig) -> AgentEnv:
    """One environment of the run."""
    return make(config.env.id, split=config.env.split, **config.env.kwargs)


def build_policy(config: TrainConfig) -> Any:
    """A trainable ``TransformersPolicy``: a tiny model from the environment's text, or a loaded one."""
    section = config.model
    if section.threads:
        torch.set_num_threads(section.threads)
    device = section.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if section.path == "tiny":
        model, tokenizer = load("agentgym.policies.tiny:build_tiny")(
            environment_texts(config),
            layers=section.layers,
            hidden=section.hidden,
            context=section.context,
            seed=config.seed,
        )
        model = model.to(device)
    else:
        model, tokenizer = load("agentgym.policies.transformers:load_model")(
            section.path, device=device, dtype="float32"
        )
    if section.lora_rank:
        model = _with_lora(model, section)
    # Weights keep full precision; on a GPU sampler and learner both compute in bfloat16.
    return load("agentgym.policies.transformers:TransformersPolicy")(
        model,
        tokenizer,
        autocast="bfloat16" if device.startswith("cuda") else None,
        cache_rows=config.concurrency,
        max_batch=config.concurrency,
    )


def environment_texts(config: TrainConfig) -> Iterator[str]:
    """What the environment and its expert say: system prompt, observations, messages."""
    expert: Policy = load("agentgym.policies.scripted:ScriptedPolicy")(mistake_rate=TEXT_MISTAKES)

    async def episodes() -> list[str]:
        texts: list[str] = []
        jobs = plan(TEXT_EPISODES, 1, config.seed)
        async for _, trajectory, _ in collect(jobs, lambda: make_env(config), expert, sampling=Sampling()):
            texts.append(trajectory.system_prompt)
            for turn in trajectory.turns:
                texts += [turn.observation, turn.message]
            texts.append(trajectory.final_observation)
        return sorted(texts)  # episodes end in any order; the vocabulary must not depend on it

    yield from asyncio.run(episodes())


def _with_lora(model: Any, section: ModelSection) -> Any:
    try:
        import peft
    except ModuleNotFoundError as error:
        raise ConfigError("LoRA needs peft. Install it with: pip install 'agentgym-kit[train]'") from error
    config = peft.LoraConfig(
        r=section.lora_rank,
        lora_alpha=section.lora_alpha,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
        lora_dropout=0.0,
    )
    return peft.get_peft_model(model, config)
