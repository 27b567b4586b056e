"""Samples as rows that trainers read. Same samples, same rows: no times, hosts or paths.

`messages`: what TRL and most trainers take. `prompt-completion`: the same, split before the answer. `sharegpt`:
`conversations` of from and value (system, human, gpt), for LLaMA-Factory, Axolotl and their kin. `alpaca`: instruction,
input, output. `preference`: prompt, chosen, rejected (see `gen.export.pairs`). Alpaca and plain texts have no place
for a system text, which goes before the instruction with a blank line between, nor for earlier turns: such rows are
left out and counted. Unanswered samples teach nothing and are left out everywhere, and counted.

Flipped, the answer is what is said and the instruction what is learned: rows for a model that writes instructions to
texts (arXiv 2308.06259, section 2.2)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gen.core import Sample, encoding, replace

Format = Literal["messages", "prompt-completion", "alpaca", "sharegpt", "preference"]
Reasoning = Literal["drop", "include", "inline"]
SPEAKERS = {"system": "system", "user": "human", "assistant": "gpt"}
ESCAPED = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"} | dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
"""What `str.splitlines` takes for the end of a line although JSON does not, and what UTF-8 cannot hold."""
_ODD = re.compile(r"[\x85\u2028\u2029\ud800-\udfff]")
_ENCODE = encoding(json.JSONEncoder(ensure_ascii=False, allow_nan=False))


class Unfit(Exception):
    """A sample that a form cannot say; its text is the reason, as a key."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a sample is said."""

    format: Format = "messages"
    plain: bool = False
    """Texts instead of messages, in `prompt-completion` and `preference`."""
    reasoning: Reasoning = "drop"
    """`inline`: `<think>...</think>` before the answer. `include`: as `reasoning_content` of the answer, which is what
    chat templates read, where a row has messages of role and content; else as `inline`."""

    flip: bool = False
    """Instruction and answer change places; system texts, which speak of the answer, stay out."""

    def row(self, sample: Sample, rejected: Sample | None = None) -> dict[str, Any]:
        """The row of an answered sample; `rejected`, for `preference` alone, is the same task with a worse answer.
        Raises Unfit."""
        if sample.response is None:
            raise Unfit("unanswered")
        if self.flip:
            sample = replace(flipped(sample), system="")
        if self.format == "messages":
            return {"messages": [*self._asked(sample), self._answer(sample)], "meta": {"id": sample.id, **meta(sample)}}
        origin = {"id": sample.id, "models": meta(sample)["models"]}
        if self.format == "alpaca":
            task = {"instruction": _told(sample, sample.instruction), "input": sample.input}
            return {**task, "output": self._text(sample), **origin}
        if self.format == "sharegpt":
            said = [*self._asked(sample), {"role": "assistant", "content": self._text(sample)}]
            return {"conversations": [{"from": SPEAKERS[m["role"]], "value": m["content"]} for m in said], **origin}
        answers = {"completion": sample}
        if self.format == "preference" and rejected:
            answers = {"chosen": sample, "rejected": rejected}
        if self.plain:
            told: dict[str, Any] = {name: self._text(answer) for name, answer in answers.items()}
            prompt: Any = _told(sample, sample.prompt)
        else:
            told = {name: [self._answer(answer)] for name, answer in answers.items()}
            prompt = [{"role": m["role"], "content": m["content"]} for m in self._asked(sample)]
        return {"prompt": prompt, **told, "meta": {"id": sample.id, **meta(sample)}}

    def _asked(self, sample: Sample) -> list[dict[str, str]]:
        """The conversation before the answer, each message with the keys of every other: a column has one type."""
        field = {"reasoning_content": ""} if self._has_field else {}
        return [{"role": m.role, "content": m.content, **field} for m in replace(sample, response=None).messages]

    def _answer(self, sample: Sample) -> dict[str, str]:
        field = {"reasoning_content": sample.reasoning} if self._has_field else {}
        return {"role": "assistant", "content": self._text(sample), **field}

    def _text(self, sample: Sample) -> str:
        thought = sample.reasoning if self.reasoning != "drop" and not self._has_field else ""
        return f"<think>\n{thought.strip()}\n</think>\n\n{sample.response}" if thought else str(sample.response)

    @property
    def _has_field(self) -> bool:
        return self.reasoning == "include" and not self.plain and self.format not in ("alpaca", "sharegpt")


def flipped(sample: Sample) -> Sample:
    """The pair the other way round; data of the task stays with what is said. Raises Unfit.

    Twice is as it was, but for what the model thought before it answered."""
    if sample.turns:
        raise Unfit("earlier_turns")
    if sample.response is None or not sample.instruction:
        raise Unfit("unanswered" if sample.response is None else "no_instruction")
    return replace(sample, instruction=sample.response, response=sample.instruction, reasoning="")


def dataset_row(sample: Sample) -> dict[str, Any]:
    """A row of the run folder's dataset; `output` is null where there is no answer."""
    messages = [{"role": m.role, "content": m.content} for m in sample.messages]
    return {"id": sample.id, "messages": messages, "instruction": sample.instruction, "input": sample.input,
            "output": sample.response, "reasoning": sample.reasoning, "meta": meta(sample)}


def meta(sample: Sample) -> dict[str, Any]:
    """Where the sample comes from: `origin` is the id of its seed in the user's data, `models` is empty for what a
    person wrote."""
    origin = sample.lineage
    # Texts and numbers only. `datasets` settles a column's type on the first 10 MB: a null parent or an empty
    # list in all seeds makes it stop at the first child ("Couldn't cast array of type string to null").
    return {"root": origin.root, "origin": origin.origin, "parent": origin.parent or "", "round": origin.round,
            "operation": origin.operation, "prompts": " ".join(origin.prompts), "models": "; ".join(origin.models)}


def weights(sample: Sample) -> str:
    """What wrote the sample, for people: the weights that it names, or that a person did."""
    if sample.lineage.models:
        return "; ".join(sample.lineage.models)
    return "not recorded" if sample.lineage.prompts else "people (seeds as they were given)"


def line(row: Mapping[str, Any]) -> str:
    """The row as one line of JSON, keys in their order: `{"a": "b\\u2028c 中"}` and a line break."""
    text = _ENCODE(row)
    if not text.isascii() and _ODD.search(text):
        text = text.translate(ESCAPED)
    return text + "\n"


def _told(sample: Sample, text: str) -> str:
    """A text with the system text before it. Raises Unfit where there were earlier turns."""
    if sample.turns:
        raise Unfit("earlier_turns")
    return f"{sample.system}\n\n{text}" if sample.system else text
