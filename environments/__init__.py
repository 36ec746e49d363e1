"""Environments that ship with agentgym."""

if __name__ != "agentgym.environments":
    raise ImportError(
        f"Import this package as 'agentgym.environments', not as '{__name__}': the folder is part of agentgym."
    )

from agentgym.core.registration import register

register("agentgym/WebShop-v0", "agentgym.environments.shopping.webshop.game:WebShopGame")
register("agentgym/Shopping-v0", "agentgym.environments.shopping.shop.game:ShoppingGame")
register("agentgym/ShoppingTiny-v0", "agentgym.environments.shopping.tiny.game:ShoppingTinyGame")
register("agentgym/Search-v0", "agentgym.environments.search.game:search")
register("agentgym/SearchTiny-v0", "agentgym.environments.search.tiny.game:SearchTinyGame")
register("agentgym/SWE-v0", "agentgym.environments.swe.game:SWEGame")
register("agentgym/Web-v0", "agentgym.environments.web.game:web")
register("agentgym/MiniWoB-v0", "agentgym.environments.web.miniwob.game:MiniWoBGame")
register("agentgym/WebArena-v0", "agentgym.environments.web.webarena.game:webarena", split="test")
register("agentgym/BrowserGym-v0", "agentgym.environments.web.browsergym:BrowserGymGame")
