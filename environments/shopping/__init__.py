"""Shopping: WebShop-v0, Shopping-v0 and ShoppingTiny-v0 over one world of products."""

from agentgym.environments.shopping.matching import COLOURS, normalize_color, token_set_ratio
from agentgym.environments.shopping.nouns import title_nouns
from agentgym.environments.shopping.reward import type_match, webshop_reward

__all__ = ["COLOURS", "normalize_color", "title_nouns", "token_set_ratio", "type_match", "webshop_reward"]
