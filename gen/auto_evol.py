"""Improving an evolving method (`gen auto-evol`): a folder with a journal, and what it came to: a prompt file that is
an operation of `evolve`, and the history of every method that was tried."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from gen.core import derive_seed, digest, replace
from gen.errors import GenError, UserError
from gen.export.files import atomic
from gen.gate import Gate
from gen.loops._auto_evol import AutoEvol
from gen.loops._method import as_prompt
from gen.loops._trials import Step, Trial
from gen.material import Material
from gen.pool import Pool
from gen.prompts import Prompts
from gen.recipe import Recipe, values
from gen.roles import Say, Staff, hire
from gen.talking import opened, talking, watched

GROWING = ("steps", "method_patience")
"""Parameters that may be raised later: the work goes on."""
METHOD = "method.json"
OPERATION = "evolve/auto"
FRAME = "auto_evol/_method"
Look = Callable[[list[Step], int], None]
"""Is shown the steps that ended and the number of replies that were heard, now and then."""


def deciding(plan: AutoEvol, recipe: Recipe, material: Material) -> dict[str, Any]:
    """All that makes this another optimisation, as plain values."""
    told = {k: v for k, v in recipe.deciding().items() if k not in ("params", "gate", "loop", "prompts")}
    told |= {
        "loop": "auto_evol", "params": {k: v for k, v in values(plan).items() if k not in GROWING},
        "failing": [asdict(rule) for rule in plan.failing], "prompts": [p.ref for p in plan.asks()],
        "seeds": material.seeds.digest,
    }  # fmt: skip
    return dict(msgspec.json.decode(msgspec.json.encode(told)))


def folder_of(plan: AutoEvol, recipe: Recipe, material: Material) -> Path:
    return Path("runs") / f"auto_evol-{digest(deciding(plan, recipe, material), size=8)}"


def improve(
    plan: AutoEvol, recipe: Recipe, folder: Path, material: Material, *, command: str, say: Say, look: Look
) -> dict[str, Any]:
    """Begin or go on; returns what `method.json` holds, with what this process asked. Raises UserError where the folder
    holds something else, and where there are too few seeds; Interrupted after Ctrl-C."""
    keys = deciding(plan, recipe, material)
    plan.split(material.seeds.samples, random.Random(0))  # too few are told before a model is loaded
    _check_folder(folder)
    with opened(folder, keys, command) as pool:
        goal = {name: getattr(plan, name) for name in GROWING}
        if pool.state("finished") == goal and (folder / METHOD).exists():
            known: dict[str, Any] = json.loads((folder / METHOD).read_text(encoding="utf-8"))
            return known | {"asked": 0, "replayed": 0, "finished": True}
        staff = hire(recipe, Gate(()))
        record, counts = asyncio.run(_improve(plan, recipe, material, pool, staff, say, look))
        publish(plan, recipe, folder, record)
        pool.set_state("finished", goal)  # last: what is finished has its files
        return record | counts | {"finished": False}


def _check_folder(folder: Path) -> None:
    if (folder / "pool.db").exists():
        return
    if found := [name for name in (METHOD, "prompts", "dataset.jsonl", "recipe.toml") if (folder / name).exists()]:
        raise UserError(f"{folder}: holds {', '.join(found)} but no journal, and would lose them; give another --out")


async def _improve(
    plan: AutoEvol, recipe: Recipe, material: Material, pool: Pool, staff: Staff, say: Say, look: Look
) -> tuple[dict[str, Any], dict[str, int]]:
    done: list[Step] = []
    async with talking(staff, recipe, pool, say) as talk:
        rng = random.Random(derive_seed(recipe.seed, "auto_evol"))
        conversation = plan.optimise(material.seeds.samples, rng, done)
        held = talk.hold(conversation, ("auto_evol",))
        told = await watched(held, lambda: look(done, sum(talk.replies.values())))
    if told.error or told.result is None:
        raise GenError(f"auto-evol: its own code failed ({told.error}); the same command goes on once it is mended")
    replayed = talk.replies["replayed"]
    counts = {"asked": sum(talk.replies.values()) - replayed, "replayed": replayed}
    return _record(plan, recipe, material, staff, done, told.result), counts


def _record(
    plan: AutoEvol, recipe: Recipe, material: Material, staff: Staff, done: list[Step], why: str
) -> dict[str, Any]:
    best = done[-1].best
    told = {
        "id": best.id, "text": best.text, "lambda": best.rate, "published": best.published, "why": why,
        "first_lambda": done[0].best.rate, "dev": plan.dev, "calls": sum(s.cost.calls for s in done),
        "tokens": sum(s.cost.tokens for s in done),
        "steps": [{"step": s.number, "best": s.best.id, "lambda": s.best.rate, **asdict(s.cost)} for s in done],
        "history": [_trial(t, chosen=t is s.best) for s in done for t in s.trials],
        "parameters": values(plan), "failure_rules": [asdict(rule) for rule in plan.failing], "seed": recipe.seed,
        "seeds": material.seeds.digest, "prompts": [p.ref for p in plan.asks()],
        "models": staff.models,
    }  # fmt: skip
    return dict(msgspec.json.decode(msgspec.json.encode(told)))  # as it will be read


def _trial(t: Trial, *, chosen: bool) -> dict[str, Any]:
    return {
        "step": t.step, "index": t.index, "id": t.id, "text": t.text, "parent": t.parent, "feedback": t.feedback,
        "lambda": t.rate, "published": t.published, "counts": dict(t.counts), "valid": not t.fault, "fault": t.fault,
        "note": t.note, **asdict(t.cost), "chosen": chosen,
    }  # fmt: skip


def publish(plan: AutoEvol, recipe: Recipe, folder: Path, record: dict[str, Any]) -> None:
    """The folder of prompts, complete in itself, and the history."""
    prompts = folder / "prompts"
    if recipe.prompts and Path(recipe.prompts).resolve() != prompts.resolve():
        shutil.copytree(recipe.prompts, prompts, dirs_exist_ok=True)  # what is the user's stays the user's
    for name in (OPERATION, FRAME):
        (prompts / name).parent.mkdir(parents=True, exist_ok=True)
    _copy(plan.prompts, FRAME, prompts)
    apply = plan.prompts.get("auto_evol/apply")
    tokens = plan.max_new_tokens or apply.sampling.max_tokens
    sampling = replace(apply.sampling, temperature=plan.temperature, max_tokens=tokens)
    rate = f"{record['lambda']:.0%} of {plan.dev} tasks failed" if record["lambda"] is not None else ""
    changed = f"method {record['id']} of gen auto-evol, step {len(record['steps']) - 1}; {rate}"
    with atomic(prompts / f"{OPERATION}.jinja") as file:
        file.write(as_prompt(record["text"], msgspec.structs.asdict(sampling), changed=changed))
    record["prompt"] = Prompts(prompts).get(OPERATION).ref
    with atomic(folder / METHOD) as file:
        file.write(json.dumps(record, ensure_ascii=False, indent=1) + "\n")


def _copy(known: Prompts, name: str, to: Path) -> None:
    """A frame, and those that it extends, with the content that was used."""
    for part in known.closure(name):
        target = to / f"{part}.jinja"
        target.parent.mkdir(parents=True, exist_ok=True)
        if known.path(part).resolve() != target.resolve():
            shutil.copyfile(known.path(part), target)
