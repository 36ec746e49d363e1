"""``agentgym/WebArena-v0``: tasks in the form of WebArena and VisualWebArena, on a deployment that the user names."""
