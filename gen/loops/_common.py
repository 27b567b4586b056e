"""What several loops do alike: refuse a prompt that they could not fill, and replies that are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gen.core import Completion, Request, Verdict, replace
from gen.errors import PromptError, nearest
from gen.prompts import Prompt, Prompts


def checked(prompts: Prompts, name: str, fills: Sequence[str], sections: Sequence[str] = ()) -> Prompt:
    """The prompt, refused where its loop cannot fill one of its inputs or misses a section of its reply. A loop's
    `asks` checks all that it can send, so that conversations need not check again."""
    prompt = prompts.get(name)
    for given in prompt.inputs:
        if given not in fills:
            loop = name.partition("/")[0]
            raise PromptError(f"{name}: {loop} cannot fill its input {given!r}; {nearest(given, fills)}")
    for section in sections:
        if section not in prompt.reply.sections:
            raise PromptError(f"{name}: its reply has no section {section!r}; add it to the passport")
    return prompt


def unfinished(reply: Completion, what: str, by: str) -> Verdict | None:
    """Why a reply that the engine cut or refused is no basis for anything: `<what>_truncated`, `<what>_rejected`,
    `overlong` or `reasoning_truncated`; None where the model ended by itself."""
    if reply.finish == "stop":
        return None
    reason = {"length": f"{what}_truncated", "refused": f"{what}_rejected"}.get(reply.finish, reply.finish)
    return Verdict(False, reason, by, reply.completion_tokens, note=reply.note)


def ask(prompt: Prompt, values: Mapping[str, Any], attempt: int = 0, /, **own: float | None) -> Request:
    """The prompt with what it takes of `values`, and with its own sampling but for what the loop's parameters say."""
    how = replace(prompt.sampling, **{k: v for k, v in own.items() if v is not None})
    return prompt.ask(sampling=how, attempt=attempt, **{k: values[k] for k in prompt.inputs})


def table(meta: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What `meta` says under a name that loops use, such as `ratings`; a user's column of that name that is no table
    counts for nothing."""
    found = meta.get(name)
    return dict(found) if isinstance(found, Mapping) else {}
