"""``agentgym doctor``: what works on this machine, and how to get the rest."""

from __future__ import annotations

from typing import Annotated

import typer


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Say what works on this machine and how to get the rest; exits with 1 when the core is broken."""
    import json
    from dataclasses import asdict

    from agentgym.cli.diagnosis import diagnose

    findings = diagnose()
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            mark = "ok     " if finding.ok else "missing" if finding.optional else "BROKEN "
            print(f"{mark}  {finding.name:<22} {finding.detail}")
            if not finding.ok and finding.fix:
                print(f"{'':9}{'':<22} -> {finding.fix}")
    raise typer.Exit(0 if all(finding.ok or finding.optional for finding in findings) else 1)
