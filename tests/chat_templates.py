"""Chat templates in the manner of well-known model families, and a tokenizer that has their special tokens."""

from tokenizers import AddedToken

from agentgym.policies.tiny import CHAT_TEMPLATE, build_tokenizer

_TOOLS_XML = (
    "{% if tools %}{{ '\\n\\nYou may call these tools:\\n<tools>' }}"
    "{% for tool in tools %}{{ '\\n' + (tool | tojson) }}{% endfor %}{{ '\\n</tools>' }}{% endif %}"
)
_SYSTEM = (
    "{{ '<|im_start|>system\\n' }}"
    "{% if messages[0].role == 'system' %}{{ messages[0].content }}{% else %}{{ 'You help.' }}{% endif %}"
    + _TOOLS_XML
    + "{{ '<|im_end|>\\n' }}"
)
_RESULT = (  # results of one turn's calls share a user message
    "{% if loop.first or messages[loop.index0 - 1].role != 'tool' %}{{ '<|im_start|>user' }}{% endif %}"
    "{{ '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}"
    "{% if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{ '<|im_end|>\\n' }}{% endif %}"
)
_PROMPT = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"

QWEN25 = (
    _SYSTEM
    + "{% for message in messages %}{% if message.role == 'tool' %}"
    + _RESULT
    + "{% elif message.role != 'system' %}"
    "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{% endif %}{% endfor %}" + _PROMPT
)

# Thinking stays in the messages that follow the last question of the user, and is taken out of those before it.
_QWEN3 = (
    _SYSTEM + "{% set ns = namespace(last=-1) %}"
    "{% for message in messages %}{% if message.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}"
    "{% for message in messages %}{% if message.role == 'tool' %}" + _RESULT + "{% elif message.role == 'assistant' %}"
    "{% set parts = message.content.split('</think>') %}{% set said = parts[-1].lstrip('\\n') %}"
    "{% set thought = parts[0].split('<think>')[-1].strip('\\n') if parts | length > 1 else '' %}"
    "{{ '<|im_start|>assistant\\n' }}"
    "{% if thought and (KEEP or loop.index0 > ns.last) %}{{ '<think>\\n' + thought + '\\n</think>\\n\\n' }}{% endif %}"
    "{{ said + '<|im_end|>\\n' }}"
    "{% elif message.role != 'system' %}"
    "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{% endif %}{% endfor %}" + _PROMPT
)
QWEN3_KEPT = _QWEN3.replace("KEEP", "true")
QWEN3_STRIPPED = _QWEN3.replace("KEEP", "false")

LLAMA3 = (
    "{{ '<|begin_of_text|>' }}{% for message in messages %}"
    "{% set role = 'ipython' if message.role == 'tool' else message.role %}"
    "{{ '<|start_header_id|>' + role + '<|end_header_id|>\\n\\n' }}"
    "{% if tools and loop.first %}{{ 'Tools: ' + (tools | tojson) + '\\n' }}{% endif %}"
    "{{ message.content | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)

HERMES = (
    _SYSTEM + "{% for message in messages %}{% if message.role == 'tool' %}"
    "{{ '<|im_start|>tool\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}"
    "{% elif message.role != 'system' %}"
    "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{% endif %}{% endfor %}" + _PROMPT
)

# Tools stand in front of the last question only, as Mistral's templates have it.
LAST_TOOLS = (
    "{% set ns = namespace(last=-1) %}"
    "{% for message in messages %}{% if message.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}"
    "{% for message in messages %}"
    "{% if tools and loop.index0 == ns.last %}{{ '[tools]' + (tools | tojson) + '[/tools]' }}{% endif %}"
    "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{% endfor %}" + _PROMPT
)

TEMPLATES = {
    "chatml": CHAT_TEMPLATE,
    "qwen2.5": QWEN25,
    "qwen3-kept": QWEN3_KEPT,
    "qwen3-stripped": QWEN3_STRIPPED,
    "llama3": LLAMA3,
    "hermes": HERMES,
    "last-tools": LAST_TOOLS,
}

_LLAMA_TOKENS = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
TEXTS = ["find the lamp", "look[hall]", "answer[attic]", "There is no room", "Nothing.", "reason think tool response"]


def tokenizer_with(name):
    """A word-level tokenizer with the template of that name, and with what ends its messages as end token."""
    tokenizer = build_tokenizer(TEXTS)
    tokenizer.add_tokens([AddedToken(text, special=True, normalized=False) for text in _LLAMA_TOKENS])
    tokenizer.chat_template = TEMPLATES[name]
    if name == "llama3":
        tokenizer.eos_token = "<|eot_id|>"
    return tokenizer
