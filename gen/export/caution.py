"""What should be known before a dataset leaves the machine, a sentence each."""

from __future__ import annotations

from dataclasses import replace

from gen.card import CardFacts
from gen.export.write import Order, Tally
from gen.licences import is_non_commercial, outputs

PLAIN = {"messages": ("messages",), "prompt-completion": ("prompt", "completion"),
         "preference": ("prompt", "chosen", "rejected")}  # fmt: skip
"""Form -> the columns that TRL's trainer reads."""


def cautions(facts: CardFacts, tally: Tally) -> list[str]:
    """Licences that are unknown or forbid something, closed models, refusals and personal content with examples."""
    told = [f"{model} is a closed model of {whose}: its terms may forbid this" for _, model, whose in facts.closed]
    if "" in facts.licences:
        told.append("seeds without a stated licence")
    told += [f"seeds under {name}: no commercial use" for name in facts.licences if is_non_commercial(name)]
    for name, licence in dict.fromkeys((model, licence or "") for _, model, _, licence in facts.models):
        if (asks := outputs(licence)) != "asks nothing of outputs":
            told.append(f"{name} ({licence or 'licence unknown'}): {asks}")
    for kind, (count, ids) in tally.found.items():
        what = "answers that refuse" if kind == "refusal" else f"{kind} in rows"
        told.append(f"{what}: {count:,}, such as {', '.join(ids)}")
    return told


def told_of(facts: CardFacts, order: Order, tally: Tally) -> CardFacts:
    """The facts of a run's card as those of an export's."""
    form = order.form
    notes = [f"The rows are in the form `{form.format}`{' as plain texts' if form.plain else ''}."]
    notes += ["Instruction and answer have changed places: the answer is what is said."] if form.flip else []
    notes += ["What the model thought before it answered is part of the rows."] if form.reasoning != "drop" else []
    if order.redact:
        counts = ", ".join(f"{kind} {count:,}" for kind, count in sorted(tally.redacted.items())) or "nothing was found"
        notes.append(f"Personal content and secrets were replaced by their shape: {counts}. Names have none and stay.")
    if order.test:
        notes.append(f"Held out for the test: {tally.rows['test']:,} rows; no family is in both splits.")
    notes += [f"Left out: {count:,} ({reason})." for reason, count in sorted(tally.skipped.items())]
    return replace(
        facts, rows=tally.rows.total(), weights=tally.weights.most_common(), notes=tuple(notes),
        files=[(split, f"data/{split}-*") for split in tally.rows], columns=PLAIN.get(form.format, ()),
        trainer={"preference": "DPOTrainer"}.get(form.format, "SFTTrainer" if form.format in PLAIN else ""),
    )  # fmt: skip
