"""Published reward rules as pure functions, one family a file.

A rule reads what an agent wrote (and, where it needs one, a reference) and returns numbers. Nothing an agent can write
makes a rule raise; a bad reference or parameter, which only an author can write, raises ``ValueError``. Rules know
neither environments nor schemes: an environment declares a rule's result as a reward component, and gates, weights and
schedules over components live in ``agentgym.core``. Judges, embeddings and rerankers are callables handed in.
"""
