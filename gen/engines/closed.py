"""Models whose weights are not to be had, by the hosts that serve them and the names they go by. Pure.

A table of what is well known, no judgement of the rest: hosts that serve open and closed models side by side
(gateways, clouds, Mistral's API) are told by the model's name alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

from gen.errors import RecipeError


class Vendor(NamedTuple):
    name: str
    hosts: str
    """Domains, their subdomains included, that serve nothing but closed models."""
    models: str
    """Pattern of the last part of a model's name, from its beginning."""


VENDORS = (
    Vendor(
        "OpenAI", "openai.com openai.azure.com",
        r"gpt-(?:3(?:\.5|5)|4|5)(?!\w*all)|gpt-(?:image|audio|realtime)|chatgpt-|o[134](?:-(?:mini|pro|preview|deep)|-\d{4}|$)|"
        r"codex-mini|(?:text|code)-davinci|davinci-00|text-embedding-(?:3|ada)",
    ),
    Vendor("Anthropic", "anthropic.com claude.ai", r"claude(?:$|-(?:\d|v\d|instant|opus|sonnet|haiku|[a-z]+-\d))"),
    Vendor(
        "Google", "generativelanguage.googleapis.com",
        r"gemini-(?:\d|pro|flash|ultra|exp|embedding)|learnlm-|(?:text|chat)-(?:bison|unicorn)|palm-2",
    ),
    Vendor("xAI", "x.ai", r"grok-(?:[3-9]|2-(?:\d{4}|latest|vision)|beta|code|fast|vision)"),
    Vendor("Cohere", "cohere.com cohere.ai", r"command(?:-light|-nightly)?$"),
    Vendor("Mistral", "", r"magistral-medium|mistral-medium-(?:2\d{3}|3(?:[.-]1)?$)"),  # Medium 3.5 is open
    Vendor("Amazon", "", r"nova-(?:micro|lite|pro|premier)|titan-(?:text|embed)"),
    Vendor("Alibaba", "", r"qwen[\d.]*-(?:max|plus|turbo)(?:-(?:latest|preview|\d)|$)"),
    Vendor("Perplexity", "perplexity.ai", r"sonar(?:-(?:pro|reasoning|deep)|$)"),
)  # fmt: skip
OPEN = re.compile(r"(?<!flash-)\b\d+(?:\.\d+)?b\b|^gemma")
"""A name that tells a size is that of weights: a fine-tune called after its teacher, such as claude-style-8b. (Of the
closed ones only gemini-1.5-flash-8b tells it.) Gemma is open, on Google's own host as well."""
OWNERS = {"xai-org"}
"""Whose repositories on the hub hold weights, whatever they are called."""


def vendor(urls: Iterable[str], *names: str) -> str:
    """Whose closed model this is, by the URLs asked or the names that the model goes by; empty where neither is
    known for it. ("http://10.0.0.7/v1", "openrouter/anthropic/claude-sonnet-4:beta") -> "Anthropic"."""
    parts = [name.lower().replace("\\", "/").split("/") for name in names if name]
    ends = [re.sub(r"^(?:[a-z]{2,4}\.)?(?:anthropic|amazon)\.", "", path[-1]) for path in parts]  # Bedrock's prefixes
    hosts = [(urlsplit(url).hostname or "").rstrip(".") for url in urls]
    is_open = any(OPEN.search(end) for end in ends) or any(OWNERS & {*path} for path in parts)
    for name, domains, models in VENDORS:
        at_home = any(host == d or host.endswith(f".{d}") for host in hosts for d in domains.split())
        if (at_home and not any(end.startswith("gemma") for end in ends)) or (
            not is_open and any(re.match(models, end) for end in ends)
        ):
            return name
    return ""


def check(urls: Iterable[str], *names: str, allowed: bool) -> str:
    """The vendor as above. Raises RecipeError where there is one and it is not allowed."""
    found = vendor(urls, *names)
    if found and not allowed:
        shown = next(filter(None, names), "this endpoint")
        raise RecipeError(
            f"{shown}: a closed model of {found}, by its host or name; gen makes datasets with open models, whose "
            "weights and licence each row can name. Serve an open one (`vllm serve NAME`; under its own name, if this "
            f"is only an alias), or pass --allow-closed: then the dataset card says that {found}'s model made it"
        )
    return found
