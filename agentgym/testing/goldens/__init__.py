"""Adapters from golden files to public functions: a case's ``inputs`` in, what its ``outputs`` should be out.

Adapters live beside what they call: here for credit and losses, in ``agentgym.rules.goldens`` for reward rules, in
``agentgym.training.goldens`` for learned scorers. Each module has a table ``ADAPTERS`` whose keys are ``file``,
``file:case`` or ``file:prefix*``. The case's name is added to the inputs as ``_case``.
"""
