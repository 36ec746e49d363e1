"""What acts in an environment: models, servers, scripts, people."""

if __name__ != "agentgym.policies":
    raise ImportError(
        f"Import this package as 'agentgym.policies', not as '{__name__}': the folder is part of agentgym."
    )

from collections.abc import Callable

from agentgym.core.policy import Policy
from agentgym.core.registry import Registry

POLICIES: Registry[Callable[..., Policy]] = Registry("policy")
"""Name -> what builds the policy from keyword arguments. Naming one imports nothing."""

for _name, _target, _summary in (
    ("transformers", "transformers:TransformersPolicy", "a local causal language model, on a CPU or a GPU"),
    ("vllm", "vllm:vllm_policy", "vLLM in this process, or behind one or several servers"),
    ("openai", "openai:OpenAIPolicy", "any server with chat completions: hosted, vLLM, SGLang, llama.cpp"),
    ("scripted", "scripted:ScriptedPolicy", "the environment's expert, with a mistake rate"),
    ("random", "random:RandomPolicy", "random actions that fit the environment's tools"),
    ("replay", "replay:ReplayPolicy", "recorded messages, played back"),
    ("guided", "guided:GuidedPolicy", "the best of another policy's proposals, by a judge over forks"),
):
    POLICIES.register(_name, f"agentgym.policies.{_target}", _summary)
