"""How often each prompt occurs among the training examples, and from which step of the training on."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gen.micro.corpus import auto_evol, code, evolve, judging, refine, self_instruct, texts
from gen.micro.corpus.example import Example, Made, Maker
from gen.prompts import Prompts
from gen.world import UNSEEN, held_out

LOOPS = (self_instruct, code, auto_evol, texts, judging, refine)
MAKERS: Mapping[str, Maker] = {name: maker for loop in LOOPS for name, maker in loop.MAKERS.items()}
PASSAGES = tuple(passage for loop in LOOPS for passage in loop.PASSAGES)
"""What replies often say."""
NEW: Mapping[str, int] = {
    "self_instruct/new_instructions": 7, "self_instruct/new_classification": 2, "self_instruct/is_classification": 1,
    "self_instruct/instances_input_first": 14, "self_instruct/instances_output_first": 7, "alpaca/triples": 10,
    "code/constrain": 1, "code/rare_requirement": 1, "code/reason": 1, "code/complexity": 1, "code/erroneous_code": 2,
    "code/answer": 3, "code/tests": 1, "auto_evol/apply": 5, "auto_evol/analyse": 7, "auto_evol/optimise": 1,
    "backtranslate/invert": 17, "extract/whole": 4, "extract/sentence": 2, "extract/keywords": 2,
    "curate/assistant": 24, "curate/additive": 28, "curate/score": 1, "refine/feedback": 46, "refine/rewrite": 14,
    "refine/fused": 26, "selfee/critique": 40, "selfee/critique_gold": 24, "selfee/revise": 4,
    "selfee/revise_minimal": 10}
"""How often the prompts of the other loops occur among these. Those that send a task as it is are asked as
evolve/answer is, and need no examples of their own."""
SAME = {name: "evolve/answer" for name in ("refine/draft", "selfee/answer")}
EVOLVE = ("evolve/answer", "evolve/equal", *evolve.OPERATIONS)
NAMES = sorted([*EVOLVE, *NEW, *SAME])
SLOW = ("filter", "tally", "name", "member", "count", "sort", "who", "what")
"""The families whose answers take long to learn, and those that take longest: they look things up."""
SLOWEST = ("who", "what", "member", "who", "what", "member", "filter")
LATER = (*UNSEEN, *UNSEEN, "box", "program", "total", "odd", "group", *SLOWEST)
"""Those that came with version 2 of the world, the harder ones more often, and the slowest of the others."""
LAST = (*UNSEEN, *(("program", "total") * 5), *SLOWEST)
"""Those of the last stages, in which arithmetic weighs most."""


@dataclass(frozen=True, slots=True)
class Stage:
    """How often each prompt of evolving occurs from the training step `start` on."""

    start: int
    answer: int
    equal: int
    depth: int
    """For each in-depth operation; `complicate` and `breadth` have their own."""
    complicate: int
    breadth: int
    slow: float = 0.0
    """Share of the tasks to answer that are drawn from the slow families alone,"""
    plain: bool = False
    """whether these are left unevolved,"""
    families: tuple[str, ...] = SLOW
    """and which these are."""
    new: float = 0.0
    """Share of the examples that are of the other loops."""
    graded: float = 0.0
    """Share of the tasks to answer that are of levels 2 to 4 of the world, most of these of the last."""

    def weights(self) -> list[int]:
        own = {"evolve/answer": self.answer, "evolve/equal": self.equal, "evolve/complicate": self.complicate,
               "evolve/breadth": self.breadth}
        return [own.get(name, self.depth) for name in EVOLVE]


STAGES = (Stage(0, 35, 13, 9, 9, 7), Stage(800, 48, 28, 4, 4, 4), Stage(1200, 50, 16, 5, 8, 6, slow=0.5),
          Stage(2000, 70, 8, 3, 5, 5, slow=0.6, plain=True),
          Stage(3260, 68, 12, 3, 5, 4, slow=0.65, plain=True, families=SLOWEST),
          Stage(3880, 54, 18, 5, 7, 7, slow=0.5, plain=True, new=0.58),
          Stage(6507, 74, 6, 4, 5, 5, slow=0.6, plain=True, families=LATER, new=0.3),
          Stage(7600, 60, 12, 5, 7, 7, slow=0.5, plain=True, families=LATER, new=0.5),
          Stage(7792, 80, 7, 3, 5, 5, slow=0.5, plain=True, families=LAST, new=0.38, graded=0.55),
          Stage(8051, 80, 7, 3, 5, 18, slow=0.5, plain=True, families=LAST, new=0.38, graded=0.55),
          Stage(8741, 72, 6, 3, 6, 22, slow=0.5, plain=True, families=LAST, new=0.52, graded=0.55))
"""Rewrites are learned first; then they make room for verdicts, and these for answers; then come the other loops, and
from step 6507 on the families and words of version 2 of the world, at the end with many clauses."""


def example(prompts: Prompts, name: str, rng: random.Random, stage: Stage = STAGES[0]) -> Made:
    """One example for prompt `name`, and the tasks that occur in it."""
    if name in NEW:
        return MAKERS[name](prompts, rng)
    if name == "evolve/equal":
        return evolve.comparison(prompts, rng)
    if name == "evolve/answer":
        if rng.random() < stage.graded:
            return evolve.answer(prompts, rng, level=rng.choice([2, 3, 4, 4, 4]))
        slow = stage.families if rng.random() < stage.slow else ()
        return evolve.answer(prompts, rng, slow, stage.plain)
    return evolve.rewrite(prompts, name, rng)


def examples(prompts: Prompts, rng: random.Random, step: int = 0) -> Iterator[Example]:
    """Endless training examples for one step of the training, without any held-out instance."""
    stage = next(s for s in reversed(STAGES) if s.start <= step)
    while True:
        if rng.random() < stage.new:
            name = rng.choices(list(NEW), list(NEW.values()))[0]
        else:
            name = rng.choices(EVOLVE, stage.weights())[0]
        made, tasks = example(prompts, name, rng, stage)
        if not any(held_out(t) for t in tasks):
            yield made
