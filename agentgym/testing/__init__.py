"""Conformance suites and the golden runner, for us and for third parties."""

from agentgym.testing.conformance import CheckResult, ConformanceError, check_agent_env, run_checks

__all__ = ["CheckResult", "ConformanceError", "check_agent_env", "run_checks"]
