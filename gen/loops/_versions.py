"""Answers that are mended by criticism: what `refine` and `selfee` have in common."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from gen import text
from gen.core import Candidate, Completion, Request, Sample, Verdict, child, replace
from gen.errors import ParseError
from gen.loops._common import table, unfinished
from gen.remarks import find_remark

T = TypeVar("T")
Talk = Generator[list[Request], list[Completion], T]


class Criticised(Protocol):
    """An answer so far, and what was said of it; prompts see both."""

    @property
    def answer(self) -> str: ...

    @property
    def feedback(self) -> str: ...


V = TypeVar("V", bound=Criticised)


@dataclass(frozen=True, slots=True)
class End:
    """Why an answer is mended no further. With a reply: it was paid for and came to nothing."""

    reason: str
    reply: Completion | None = None
    answer: str | None = None
    """What the reply had as answer."""

    def failure(self, seed: Sample, by: str) -> tuple[Candidate, ...]:
        """What came to nothing, as a candidate that says why."""
        if self.reply is None:
            return ()
        lost = child(seed, by, seed.instruction, input=seed.input, response=self.answer)
        return (Candidate(lost, drop(by, self.reason, self.reply.note or self.reply.text)),)


def drop(by: str, reason: str, passage: str = "") -> Verdict:
    return Verdict(False, reason, by, note=" ".join(passage.split())[:120])


def context(sample: Sample) -> str:
    """What was said before the task, as one text for those who judge or mend the answer; empty where nothing was."""
    said = replace(sample, instruction="", input="", response=None).messages[:-1]
    return "\n\n".join(f"{message.role}: {message.content}" for message in said)


def drafted(seed: Sample, request: Request) -> Talk[tuple[Sample, str]]:
    """The seed with an answer, and why that is no answer; empty where it is one. It is asked for as a user would."""
    *system, user = request.messages
    own = [m for m in replace(seed, response=None).messages if m.role == "system"]
    [reply] = yield [replace(request, messages=(*system, *own, *seed.turns, user))]
    lineage = replace(seed.lineage, prompts=(*seed.lineage.prompts, request.prompt))
    whole = replace(seed, response=reply.text.strip(), reasoning=reply.reasoning, lineage=lineage)
    if failure := _cut(reply, "answer"):
        return whole, failure
    if text.find_refusal(reply.text):
        return whole, "answer_refused"
    return whole, "hollow_answer" if text.is_hollow(reply.text) else ""


def mended(
    ask: Callable[[Sequence[V], int], Request], versions: Sequence[V], read: Callable[[Completion], T], what: str,
    retries: int, *, cut_too: bool = False,
) -> Talk[tuple[T | None, Completion, End | None]]:
    """Put one question about `versions` until its reply can be read; returns what was read, the reply, and why
    nothing was read. Where all does not fit the context, the oldest version is left out. A reply that `read` refuses
    (ParseError) is asked for `retries` times more. With `cut_too`, `read` sees replies cut at max_tokens as well."""
    attempt = 0
    while True:
        [reply] = yield [ask(versions, attempt)]
        if reply.finish == "overlong" and len(versions) > 1:
            versions = versions[1:]
            continue
        if (failure := _cut(reply, what)) and not (cut_too and reply.finish == "length"):
            return None, reply, End(failure, reply)
        try:
            return read(reply), reply, None
        except ParseError as error:
            if attempt == retries:
                return None, reply, End(error.reason, reply)
        attempt += 1


def bad_answer(new: str, source: str, earlier: Sequence[str], *, what: str, must_change: bool = True) -> str:
    """Why a mended answer must not replace the last of `earlier`; empty where it may. What `source` says, the task and
    the notes, it may say, too."""
    if text.is_hollow(new):
        return f"{what}_empty"
    if text.find_refusal(new) and not text.find_refusal(earlier[-1]):
        return f"{what}_refused"
    if find_remark(new, "\n".join((source, *earlier))):
        return f"{what}_leak"
    return "unchanged" if must_change and new in map(str.strip, earlier) else ""


def _cut(reply: Completion, what: str) -> str:
    failure = unfinished(reply, what, "")
    return failure.reason if failure else ""


def with_meta(
    meta: Mapping[str, Any], lost: Sequence[str], rated: Mapping[str, float], name: str, record: Mapping[str, Any], *,
    changed: bool,
) -> dict[str, Any]:
    """The user's columns, and what `name` found out. Ratings of an answer that is no longer there go."""
    ratings = {**({} if changed else table(meta, "ratings")), **rated}
    kept = {column: value for column, value in meta.items() if column != "ratings"}
    brought = meta.get("rejected", [])
    told = [brought] if isinstance(brought, str) else brought if isinstance(brought, list) else []
    texts = [answer for answer in told if isinstance(answer, str)]
    if lost and len(texts) == len(told):  # turns of a conversation stay as the user has them
        kept["rejected"] = [*dict.fromkeys((*texts, *lost))]
    return {**kept, **({"ratings": ratings} if ratings else {}), name: record}
