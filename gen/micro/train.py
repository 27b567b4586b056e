"""Trains the bundled model: `python -m gen.micro.train --out training/micro --minutes 60 --begin gen/micro/weights`.

With `--begin DIR` the training begins with the weights of a shipped model (its tokenizer may know other prompts: what
both know is carried over, `gen.micro.warm`) and goes on counting its steps, by which the mixture of examples goes;
without it, from nothing. Resumable: run again with the same `--out` it continues from the last checkpoint as if never
stopped, for the examples of a step depend on the seed and the step alone. `--export DIR` writes the shipped form.
`--small` trains the same recipe at a scale of seconds, through all stages of the mixture, and tells how far its losses
are from those that were logged when the recipe was last changed."""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from gen.core import derive_seed, digest
from gen.errors import InputError
from gen.micro import warm
from gen.micro.corpus.example import Example
from gen.micro.corpus.mixture import NAMES, examples
from gen.micro.learning import Row, optimizers, reply_loss
from gen.micro.tokenizer import build
from gen.prompts import Prompts
from gen.world import VERSION

SHAPE = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 8, "num_key_value_heads": 8,
         "intermediate_size": 640, "max_position_embeddings": 4096, "rope_theta": 10000.0, "tie_word_embeddings": True}
DECAY = 0.3
"""Share of the whole training over which the learning rate falls."""
WEAK = "weak"
"""Where the shipped form of the weak checkpoint goes: what a third of the steps has made of the model."""


@dataclass(slots=True)
class Plan:
    """What decides the result, apart from the code."""

    seed: int = 1
    batch: int = 96
    """Examples per step."""
    micro: int = 8
    """Parts of a step, by length, so that little is padding."""
    rate: float = 3e-3
    warmup: int = 100
    stride: int = 1
    """Steps of the mixture that one step stands for."""
    shape: dict[str, Any] = field(default_factory=lambda: dict(SHAPE))


SMALL = Plan(batch=24, micro=2, warmup=4, stride=250, shape={
    **SHAPE, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4,
    "intermediate_size": 128})  # fmt: skip
SMALL_STEPS = 36
LOG = Path(__file__).with_name("small.jsonl")
"""The losses of the small plan, each step: what `--small` writes into its losses.jsonl, without the seconds."""


class Trainer:
    def __init__(self, plan: Plan) -> None:
        self.plan, self.tokenizer = plan, self.vocabulary()
        torch.manual_seed(plan.seed)
        ends = {"eos_token_id": self.tokenizer.eos_token_id, "pad_token_id": self.tokenizer.pad_token_id}
        config = LlamaConfig(vocab_size=-(-len(self.tokenizer) // 64) * 64, bos_token_id=None, **ends, **plan.shape)
        self.model: Any = LlamaForCausalLM(config)
        self.state: dict[str, Any] = {
            "step": 0, "begun": 0, "tokens": 0, "seconds": 0.0, "decay": None, "before": [],
            "vocabulary": digest(self.tokenizer.backend_tokenizer.to_str())}
        self.optimizers = optimizers(self.model, plan.rate)

    def vocabulary(self) -> PreTrainedTokenizerFast:
        """The tokenizer of the model; called once, first of all."""
        self.prompts = Prompts()
        return build(self.prompts)

    def drawn(self, rng: random.Random) -> list[Row]:
        """The rows of the next step."""
        source = examples(self.prompts, rng, self.state["step"] * self.plan.stride)
        return [(e.prompt, *self.encode(e)) for e in (next(source) for _ in range(self.plan.batch))]

    def begin(self, folder: Path) -> None:
        """Begin with the weights of the shipped model in `folder`, and count on from its last step."""
        self.model.load_state_dict(warm.weights_of(folder, self.tokenizer, self.model.config.vocab_size))
        before = warm.history(folder)
        begun = sum(training["steps"] for training in before)
        self.state.update(step=begun, begun=begun, before=before)

    def encode(self, example: Example) -> tuple[list[int], int]:
        """The ids of a whole example, and how many of them are prompt."""
        chat = [{"role": m.role, "content": m.content} for m in example.messages]
        text = self.tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        prompt = self.tokenizer.encode(text, add_special_tokens=False)
        reply = self.tokenizer.encode(example.reply, add_special_tokens=False)
        return [*prompt, *reply, self.tokenizer.eos_token_id], len(prompt)

    def rate(self) -> float:
        """Warm up, stay, and fall to nearly nothing between the steps of `decay` (set near the end)."""
        step, begun, decay = self.state["step"], self.state["begun"], self.state["decay"]
        fall = 0.0 if decay is None else min(1.0, max(0, step - decay[0]) / max(1, decay[1] - decay[0]))
        return float(self.plan.rate * min(1.0, (step - begun + 1) / self.plan.warmup) * (1 - 0.98 * fall))

    def step(self) -> dict[str, float]:
        """One step on fresh examples; the mean loss per reply token of each prompt."""
        plan, rng = self.plan, random.Random(derive_seed(self.plan.seed, self.state["step"]))
        batch = sorted(self.drawn(rng), key=lambda row: len(row[1]))
        losses: dict[str, list[float]] = defaultdict(list)
        size = math.ceil(plan.batch / plan.micro)
        for start in range(0, plan.batch, size):
            rows = batch[start : start + size]
            each, loss = reply_loss(self.model, rows)
            (loss / plan.batch).backward()
            for (name, *_), value in zip(rows, each.tolist(), strict=True):
                losses[name].append(value)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.rate()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.state["step"] += 1
        self.state["tokens"] += sum(len(ids) for _, ids, _ in batch)
        return {name: sum(v) / len(v) for name, v in losses.items()}

    def save(self, folder: Path) -> None:
        """Writes the checkpoint whole or not at all."""
        part = folder / "checkpoint.part"
        torch.save({"model": self.model.state_dict(), "optimizers": [o.state_dict() for o in self.optimizers],
                    "state": self.state, "plan": asdict(self.plan)}, part)
        part.replace(folder / "checkpoint.pt")

    @classmethod
    def load(cls, folder: Path) -> Trainer:
        saved = torch.load(folder / "checkpoint.pt", weights_only=True)
        trainer = cls(Plan(**saved["plan"]))
        if saved["state"]["vocabulary"] != trainer.state["vocabulary"]:
            raise InputError(f"{folder}/checkpoint.pt: prompts or world have changed since, and so has the tokenizer; "
                             "export with the old ones, then begin with that export in another folder")
        trainer.model.load_state_dict(saved["model"])
        for optimizer, state in zip(trainer.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        trainer.state = saved["state"]
        return trainer

    def training(self) -> dict[str, Any]:
        """What this training was, for the manifest."""
        state = self.state
        return {"began with": "the weights before" if state["before"] else "nothing", "prompts": len(NAMES),
                "steps": state["step"] - state["begun"], "tokens": state["tokens"],
                "minutes": round(state["seconds"] / 60), "decay": state["decay"]}

    def manifest(self) -> dict[str, Any]:
        """What the model was trained on."""
        return {"prompts": [self.prompts.get(n).ref for n in NAMES],
                "seeds": "gen/recipes/seeds.jsonl holds instances kept out of training"}

    def export(self, folder: Path) -> None:
        """Weights in bf16, tokenizer, configuration and manifest: what ships, and nothing of this machine."""
        folder.mkdir(parents=True, exist_ok=True)
        model = LlamaForCausalLM(self.model.config)
        model.load_state_dict(self.model.state_dict())
        model.generation_config = GenerationConfig(eos_token_id=self.tokenizer.eos_token_id,
                                                   pad_token_id=self.tokenizer.pad_token_id)
        model.to(torch.bfloat16).save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        manifest = {**self.manifest(), "world": VERSION, "parameters": sum(p.numel() for p in self.model.parameters()),
                    "trainings": [*self.state["before"], self.training()], "plan": asdict(self.plan)}
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def run(
    trainer: Trainer, folder: Path, steps: int | None, minutes: float | None, every: float = 120, log: int = 50
) -> None:
    """Trains up to `steps`, or for about `minutes` of training time, checkpoints included; the weak checkpoint is
    written after a third of the `steps`, and a line of losses after each `log` steps."""
    folder.mkdir(parents=True, exist_ok=True)
    state, saved = trainer.state, time.monotonic()
    begun = state["begun"]
    if steps is not None and state["decay"] is None:
        state["decay"] = [begun + int(steps * (1 - DECAY)), begun + steps]
    seen: dict[str, list[float]] = defaultdict(list)
    while state["decay"] is None or state["step"] < state["decay"][1]:
        now = time.monotonic()
        for name, loss in trainer.step().items():
            seen[name].append(loss)
        state["seconds"] += time.monotonic() - now
        if minutes is not None and state["decay"] is None and state["seconds"] >= minutes * 60 * (1 - DECAY):
            state["decay"] = [state["step"], begun + round((state["step"] - begun) / (1 - DECAY))]
        if state["step"] % log == 0:
            row = {"step": state["step"], "tokens": state["tokens"], "seconds": round(state["seconds"]),
                   "rate": trainer.rate(), **{n: round(sum(v) / len(v), 4) for n, v in sorted(seen.items())}}
            with (folder / "losses.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            seen.clear()
        if steps is not None and state["step"] == begun + steps // 3:
            trainer.export(folder / WEAK)
        if time.monotonic() - saved > every:
            trainer.save(folder)
            saved = time.monotonic()
    trainer.save(folder)


def rows(path: Path) -> list[dict[str, float]]:
    """The lines of a file of losses, without what depends on the machine's speed."""
    told = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in told]


def apart(found: list[dict[str, float]], logged: list[dict[str, float]]) -> float:
    """The largest difference of two loss curves at any step, by the mean of the prompts' losses (nat a token), which is
    about 8 before any training. Infinite where a step has other examples: prompts, world or mixture have changed."""
    if [(row.keys(), row["tokens"]) for row in found] != [(row.keys(), row["tokens"]) for row in logged]:
        return math.inf
    def mean(row: dict[str, float]) -> float:
        return statistics.fmean(loss for name, loss in row.items() if "/" in name)

    return max(abs(mean(a) - mean(b)) for a, b in zip(found, logged, strict=True))


def small(folder: Path, *, record: bool = False) -> None:
    """Trains the small plan from the beginning and says how far it is from what was logged; or logs it instead."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "losses.jsonl").unlink(missing_ok=True)
    run(Trainer(SMALL), folder, SMALL_STEPS, None, log=1)
    if record:
        LOG.write_text("".join(json.dumps(row) + "\n" for row in rows(folder / "losses.jsonl")), encoding="utf-8")
    sys.stdout.write(f"at most {apart(rows(folder / 'losses.jsonl'), rows(LOG)):.4f} from the logged losses\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder of checkpoint and losses (training/micro, or training/small)")
    parser.add_argument("--minutes", type=float, help="training time in all; the rate falls in its last quarter")
    parser.add_argument("--steps", type=int, help="instead of --minutes: steps of this training")
    parser.add_argument("--begin", type=Path, help="begin with the weights of the shipped model in this folder")
    parser.add_argument("--rate", type=float, default=Plan().rate, help="learning rate at its highest")
    parser.add_argument("--batch", type=int, default=Plan().batch, help="examples of a step")
    parser.add_argument("--export", type=Path, help="write the shipped form of the checkpoint there, without training")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--small", action="store_true", help="the small plan, compared with its logged losses")
    parser.add_argument("--record", action="store_true", help="with --small, after a change of the recipe: log anew")
    args = parser.parse_args()
    args.out = args.out or Path("training") / ("small" if args.small else "micro")
    torch.set_num_threads(args.threads)
    if args.small:
        return small(args.out, record=args.record)
    going = (args.out / "checkpoint.pt").exists()
    trainer = Trainer.load(args.out) if going else Trainer(Plan(rate=args.rate, batch=args.batch))
    if args.begin and not going:
        trainer.begin(args.begin)
    if args.export:
        return trainer.export(args.export)
    if args.minutes is None and args.steps is None:
        parser.error("say how long: --minutes or --steps")
    run(trainer, args.out, args.steps, args.minutes)
    return None


if __name__ == "__main__":
    main()
