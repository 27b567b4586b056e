"""How full Self-Instruct keeps an engine: `python benchmarks/self_instruct.py [TARGET]`.

The published script has one request in flight, and every draw sees all that was kept before. Here batch b draws from
the pool as of batch b - 2, and batches grow with what is kept. Both sides are this program, at 1 and at 64 requests in
flight, on canned replies that take a fixed time, so that waiting is all there is; the journal, the gate (ROUGE-L
included) and the pool are on. Printed: questions, seconds, samples a second, and the mean of requests in flight."""

from __future__ import annotations

import hashlib
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import gen.roles
from gen import recipe as recipes
from gen.core import Request
from gen.engines.scripted import Scripted
from gen.job import execute
from gen.material import read_material

DELAY_S = 0.25
VERBS = ("Explain", "Describe", "Compare", "List", "Rewrite", "Summarize", "Translate", "Sort", "Name", "Plan")


def words(rng: random.Random, count: int) -> str:
    """Words that hardly ever come twice, so that what is measured is not the novelty filter's taste."""
    return " ".join(hashlib.sha1(rng.randbytes(8), usedforsecurity=False).hexdigest()[:6] for _ in range(count))


def reply(request: Request) -> str:
    rng = random.Random(request.seed)
    if request.step == "new_instructions":
        return "\n".join(f"{n}. {rng.choice(VERBS)} the {words(rng, 9)}." for n in range(9, 16))
    if request.step == "is_classification":
        return "No"
    return f"<input>\n{words(rng, 6)}\n</input>\n<output>\n{words(rng, 12)}\n</output>"


def run(width: int, target: int) -> tuple[int, float, int]:
    """Questions, seconds and samples of one run."""
    engine = Scripted(reply, width=width, delay=DELAY_S)
    gen.roles._engine = lambda *_: engine
    gate = {"filters": ["empty", "length", "exact"]}
    table: dict[str, Any] = {"loop": "self_instruct", "budget": {"target": target}, "gate": gate}
    with tempfile.TemporaryDirectory() as name:
        rows = [{"instruction": f"{VERBS[i % 10]} thing number {i}.", "output": "Done."} for i in range(24)]
        seeds = Path(name) / "seeds.jsonl"
        seeds.write_text("".join(json.dumps(row) + "\n" for row in rows))
        recipe = recipes.build({**table, "source": {"seeds": [str(seeds)]}})
        material = read_material(recipe)

        async def watch(_: object) -> None:
            return

        begun = time.monotonic()
        report = execute(recipe, Path(name) / "run", material, command="", watch=watch, say=lambda _: None)
        return report.asked, time.monotonic() - begun, report.kept


def main() -> None:
    target = int(sys.argv[1]) if len(sys.argv) > 1 else 1500
    print(f"{'in flight':>10}{'target':>8}{'questions':>11}{'seconds':>9}{'samples/s':>11}{'mean in flight':>16}")
    for width, wanted in ((1, max(10, target // 50)), (64, target)):
        asked, seconds, kept = run(width, wanted)
        busy = asked * DELAY_S / seconds
        print(f"{width:>10}{kept:>8}{asked:>11}{seconds:>9.1f}{kept / seconds:>11.1f}{busy:>16.1f}")


if __name__ == "__main__":
    main()
