"""Where untrusted code runs."""

if __name__ != "agentgym.sandboxes":
    raise ImportError(
        f"Import this package as 'agentgym.sandboxes', not as '{__name__}': the folder is part of agentgym."
    )
