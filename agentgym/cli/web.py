"""``agentgym web``: the sites of the web environment, for a person's browser."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="Web sites of the web environment.", no_args_is_help=True)


@app.command("sites")
def sites() -> None:
    """List the sites."""
    from agentgym.environments.web.sites import SITES

    for name, kind in SITES.items():
        print(f"{name}  (agentgym-kit[{kind.extra}])")


@app.command("serve")
def serve(
    site: Annotated[str, typer.Argument(help="Which site; `agentgym web sites` lists them.")] = "book",
    world: Annotated[int, typer.Option(min=0, help="Number of the world that fills it.")] = 0,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8080,
) -> None:
    """Open a site for a browser on this machine. What is changed is forgotten at the end."""
    from agentgym.core.errors import ConfigError
    from agentgym.environments.web.sites import site_named
    from agentgym.environments.web.sites.serve import serve_site

    made = site_named(site.removesuffix(".test")).make()
    made.restore(made.golden(world))
    try:
        serve_site(made, port, lambda number: print(f"serving {site} at http://127.0.0.1:{number}/", flush=True))
    except OSError as error:
        raise ConfigError(f"Port {port} can't be used ({error.strerror}). Choose another with --port.") from error
    finally:
        made.close()
