"""``agentgym web``: the sites of the web environment, for a person's browser."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="Web sites of the web environment.", no_args_is_help=True)


@app.command("sites")
def sites() -> None:
    """List the sites."""
    from agentgym.environments.web.sites import SITES

    for host in SITES:
        print(host.removesuffix(".test"))


@app.command("serve")
def serve(
    site: Annotated[str, typer.Argument(help="Which site; `agentgym web sites` lists them.")] = "book",
    world: Annotated[int, typer.Option(min=0, help="Number of the world that fills it.")] = 0,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8080,
) -> None:
    """Open a site for a browser on this machine. What is changed is forgotten at the end."""
    from agentgym.core.errors import ConfigError, unknown_name
    from agentgym.environments.web.sites import SITES
    from agentgym.environments.web.sites.serve import serve_site

    host = f"{site.removesuffix('.test')}.test"
    if host not in SITES:
        raise unknown_name("site", site, [name.removesuffix(".test") for name in SITES])
    made = SITES[host]()
    made.restore(made.golden(world))
    try:
        serve_site(made, port, lambda number: print(f"serving {site} at http://127.0.0.1:{number}/", flush=True))
    except OSError as error:
        raise ConfigError(f"Port {port} can't be used ({error.strerror}). Choose another with --port.") from error
    finally:
        made.close()
