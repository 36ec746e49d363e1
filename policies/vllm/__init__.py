"""vLLM as a policy: in this process, or behind one or several servers. Same results, same record."""

from __future__ import annotations

from typing import Any

from agentgym.core.errors import ConfigError
from agentgym.policies.vllm.common import VLLMPolicy


def vllm_policy(model: str = "", base_url: str | list[str] = "", **kwargs: Any) -> VLLMPolicy:
    """A server's policy where ``base_url`` is given, else an engine in this process.

    Args:
        model: Folder or hub name of the model; for a server the name that it serves, empty for its only one.
        base_url: Address of a vLLM server, or of several replicas of it (a list, or separated by commas).
        **kwargs: See `EnginePolicy` and `ServerPolicy`.
    """
    if base_url:
        from agentgym.policies.vllm.server import ServerPolicy

        urls = base_url.split(",") if isinstance(base_url, str) else list(base_url)
        return ServerPolicy([url.strip() for url in urls], model, **kwargs)
    if not model:
        raise ConfigError("The policy 'vllm' needs a model (a folder or a name), or the base_url of a vLLM server.")
    from agentgym.policies.vllm.engine import EnginePolicy

    return EnginePolicy(model, **kwargs)
