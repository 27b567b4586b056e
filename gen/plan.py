"""What a recipe says, as values: its keys, which of them decide the dataset, and the stages that they amount to."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, NamedTuple

from msgspec import Meta

from gen import catalog
from gen.core import digest, replace
from gen.loop import Part, parts_of
from gen.sections import Budget, Model, Roles, Source, split_engine

PART: Any = {"parameter": False}


@dataclass(frozen=True, slots=True)
class Recipe:
    loop: str = "evolve"
    rounds: Annotated[int, Meta(ge=0, le=100)] = 3
    """Passes of the loop; raise it later to go on. 0 where a loop has none."""
    seed: Annotated[int, Meta(ge=0)] = 0
    """Seed of everything random."""
    prompts: str = ""
    """Folder whose files override the shipped prompts path by path."""
    score_all: bool = False
    """Measure, too, what a cheaper filter drops, so that another gate can judge it later."""
    source: Source = field(default_factory=Source, metadata=PART)
    model: Model = field(default_factory=Model, metadata=PART)
    roles: Roles = field(default_factory=Roles, metadata=PART)
    budget: Budget = field(default_factory=Budget, metadata=PART)
    params: Any = field(default=None, metadata=PART)
    """The loop's own parameters: an instance of its dataclass."""
    gate: tuple[Any, ...] = field(default=(), metadata=PART)
    """Filters in order: instances of their dataclasses."""
    gates: tuple[tuple[Any, ...], ...] = field(default=(), metadata=PART)
    """Filters of each part of the loop, in the order of its parts; the last one is mostly `gate`."""
    optional: tuple[str, ...] = field(default=(), metadata=PART)
    """Filters of a gate that may be left out where nothing can measure what they need."""
    chain: tuple[Recipe, ...] = field(default=(), metadata=PART)
    """The recipes of its `[[stages]]`: the kept samples of one are the seeds of the next."""

    @property
    def stages(self) -> tuple[Stage, ...]:
        """What is to be done, in order: one stage a part of each loop."""
        found: list[Stage] = []
        for recipe in self.chain or (self,):
            begin = len(found)
            parts = parts_of(recipe.params)
            if len(parts) != len(recipe.gates):  # a stage already
                parts = (Part(recipe.params),)
            for i, (part, gate) in enumerate(zip(parts, recipe.gates, strict=True)):
                of = begin + part.of if part.of >= 0 else len(found) - 1
                last = i == len(parts) - 1
                budget = recipe.budget if last else replace(recipe.budget, target=None)
                name, roles = catalog.name_of(part.loop), replace(recipe.roles, **part.roles)
                own = replace(recipe, loop=name, params=part.loop, gate=gate, roles=roles, budget=budget, gates=(gate,))
                found.append(Stage(own, of))
        return tuple(found)

    def filters(self, left_out: Container[str]) -> list[Any]:
        """The gate without what nothing can measure for."""
        return [f for f in self.gate if f.passport.name not in left_out]

    def deciding(self) -> dict[str, Any]:
        """The keys that make another dataset, without rounds (a run can go on) and without the seeds'
        paths (their content decides, see `run_name`). A run of several stages can go on with more of them."""
        stages = self.stages
        if len(stages) == 1:
            return {**self._shared(), **self._own()}
        told = [{"of": stage.of, **stage.recipe._own()} for stage in stages]
        return {**self._shared(), "loop": self.loop, "stages": told}

    def _shared(self) -> dict[str, Any]:
        return {
            "seed": self.seed, "limit": self.source.limit, "map": dict(self.source.map), "model": self.model.name,
            "served": bool(self.model.server) or self.model.engine == "vllm", "thinking": self.model.thinking,
            **({"thinking_budget": self.model.thought} if self.model.thought else {}),
        }  # fmt: skip

    def _own(self) -> dict[str, Any]:
        """What decides one stage."""
        return {
            "loop": self.loop, "params": weighty(self.params),
            "roles": {role: split_engine(name)[0] or "served" for role, name in values(self.roles).items() if name},
            "prompts": [p.ref for p in self.params.asks()],
            "gate": [[catalog.name_of(f), weighty(f)] for f in self.gate],
        }  # fmt: skip

    def run_name(self, content: str) -> str:
        """`<loop>-<8 hex>`; `content` is the hash of the seeds and of `--against`. Equal for runs of which one goes
        on with the other."""
        told = self.deciding()
        if not self.chain and "stages" in told:
            gate = [[catalog.name_of(f), weighty(f)] for f in self.gate]
            told |= {"stages": told["stages"][:1], "params": weighty(self.params), "gate": gate}
        return f"{self.loop}-{digest(told, content, size=8)}"


class Stage(NamedTuple):
    """One loop with its roles and gate, over the kept samples of the stage `of`; -1: over the user's seeds."""

    recipe: Recipe
    of: int


SECTIONS = {"source": Source, "model": Model, "roles": Roles, "budget": Budget}


def values(component: Any) -> dict[str, Any]:
    """The parameters of a component or section as plain values, None left out."""
    found = {p.name: getattr(component, p.name) for p in catalog.parameters(type(component))}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in found.items() if v is not None}


def weighty(component: Any) -> dict[str, Any]:
    """The values that decide: without those that only append stages (`GROWING`); a parameter that came later
    (`metadata={"later": True}`) is none of them while it is at its default, so that what was begun before it came can
    go on."""
    later = {f.name: f.default for f in fields(component) if f.metadata.get("later")}
    found = {k: v for k, v in values(component).items() if k not in getattr(component, "GROWING", ())}
    return {k: v for k, v in found.items() if k not in later or v != later[k]}
