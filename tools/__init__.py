"""What an agent can call: retrievers, shells, editors, browsers."""

if __name__ != "agentgym.tools":
    raise ImportError(f"Import this package as 'agentgym.tools', not as '{__name__}': the folder is part of agentgym.")
