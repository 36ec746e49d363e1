"""What acts in an environment: models, servers, scripts, people."""

if __name__ != "agentgym.policies":
    raise ImportError(
        f"Import this package as 'agentgym.policies', not as '{__name__}': the folder is part of agentgym."
    )
