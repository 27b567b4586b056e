"""Every loop in its real conversation with replies that are made of bytes: it ends, and all that it proposes can be stored."""

from __future__ import annotations

import itertools
from functools import cache, partial
from typing import Any

from fuzz_model_replies import PROSE, TAGS
from kit import Target
from shapes import Take, rng

from gen import catalog
from gen import recipe as recipes
from gen.codec import clean, decode, encode
from gen.core import Grown, Lineage, Message, Sample, place, seed_id
from gen.errors import InputError, RecipeError
from gen.loop import parts_of
from gen.loops._auto_evol import AutoEvol

WORDS = (*TAGS, *PROSE, "<change>\n", "\n</change>\n", "<add>", "</add>", "<scores>", "</scores>", "<passage>", "</passage>", "<notes>", "</notes>", "Equal", "Not equal", "Yes", "No", "[[TASK]]",
         "<analysis>", "</analysis>", "<method>", "</method>", "<failures>", "</failures>", "<revised>", "</revised>", "<tests>", "</tests>", "assert f(1) == 1\n", "[1, 2]")  # fmt: skip
LOOPS = tuple(name for _, name in catalog.names("loop"))
MOST = 60
"""Questions of one conversation that are answered from the bytes; the others get an empty reply."""
CODE = {"loop": "evolve", "evolve": {"domain": "code"}}


def _text(words: str) -> Sample:
    root = seed_id(words, "", None)
    return Sample(root, words, Lineage(root))


SEEDS = (
    Sample("a", "Write a poem about bees.", Lineage("a"), response="Bees hum in the lime tree all day long."),
    Sample(
        "b",
        "Explain this table.",
        Lineage("b"),
        input="| a | b |\n|---|---|\n| 1 | 2 |",
        response="```python\nprint(1)\n```",
    ),
    Sample("c", "用中文写一首诗。", Lineage("c"), turns=(Message("user", "Hi"), Message("assistant", "Hello."))),
    Sample(
        "d", "", Lineage("d"), response="A passage of a text that a person wrote. It has two sentences, and bees in it."
    ),
    Sample(
        "e", "Is it so?", Lineage("e"), response="Yes", system="Be brief.", meta={"rejected": "No", "ratings": {"x": 1}}
    ),
)


@cache
def _loops(name: str) -> tuple[Any, ...]:
    """The loop with some settings, in its parts."""
    tables: list[dict[str, Any]] = [{}]
    for p in catalog.parameters(catalog.load(name, "loop")):
        choices = p.range.split(" | ") if " | " in p.range else []
        tables += [{p.name: choice} for choice in choices if choice != p.default]
        tables += [{p.name: not p.default}] if isinstance(p.default, bool) else []
    made = []
    for table in tables:
        try:
            made += [part.loop for part in parts_of(recipes.build({"loop": name, name: table}).params)]
        except RecipeError:  # this setting goes with another one only
            continue
    return tuple(made)


def hold(conversation: Any, take: Take) -> Any:
    """Drive a conversation to its end."""
    try:
        asked = next(conversation)
        for count in itertools.count():
            assert count < 500, "a conversation without end"
            asked = conversation.send([take.completion(WORDS if count < MOST else ("",)) for _ in asked])
    except StopIteration as stop:
        return stop.value


def grown(name: str, data: bytes) -> None:
    take = Take(data)
    loop, seed, own = take.pick(_loops(name)), take.pick(SEEDS), take.byte() % 4 == 0
    seed = take.sample(WORDS) if own else seed
    if hasattr(loop, "draw"):
        talk = loop.draw([*SEEDS[:2], seed, *SEEDS[4:]], SEEDS[:2], rng(data))
    elif hasattr(loop, "grow") and take.byte() % 4:
        talk = loop.grow(seed, rng(data))
    else:
        talk = loop.answer(seed)
    try:
        found = hold(talk, take)
    except InputError as error:  # these seeds are none for a loop that draws from them
        assert "no seed" in str(error)
        return
    assert isinstance(found, Grown)
    for index, candidate in enumerate(found.candidates):
        placed = clean(place(candidate.sample, 0, 1, index))
        assert decode(encode(placed), type=Sample) == decode(encode(clean(placed)), type=Sample)
        assert candidate.failure is None or (candidate.failure.reason and not candidate.failure.keep)
        encode(clean(candidate.failure))
    for heir in found.heirs:
        encode(clean(heir))


def improved(data: bytes) -> None:
    plan = AutoEvol(sample=4, dev=2, batch=1, evolutions=1, candidates=2, steps=2)
    done: list[Any] = []
    why = hold(plan.optimise(SEEDS[:3], rng(data), done), Take(data))
    assert why in ("steps", "patience", "no_failures", "no_rate")
    assert done


TARGETS = (
    *(Target(f"loops.{name}", partial(grown, name), (f"gen.loops.{name}",), (), 20_000, 512) for name in LOOPS),
    Target(
        "loops.auto_evol",
        improved,
        ("gen.loops._auto_evol", "gen.loops._trials", "gen.loops._failures"),
        (),
        10_000,
        512,
    ),
)
