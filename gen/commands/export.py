"""`gen export`: what a run kept, for trainers, as a file, as a dataset repository, or on the hub."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from tyro.conf import Positional, arg

from gen.card import CardFacts, card
from gen.commands import render
from gen.errors import UserError
from gen.export.caution import cautions, told_of
from gen.export.hub import check_name
from gen.export.hub import push as upload
from gen.export.rows import Form, Format, Reasoning
from gen.export.split import amount
from gen.export.tables import KINDS, kind_of
from gen.export.write import Export, Order, Tally
from gen.job import open_run
from gen.licences import strictest
from gen.pool import Pool
from gen.publish import facts_of

OUT = Console(highlight=False, markup=False)
TO, TEST = arg(metavar="FILE|FOLDER|hub:ORG/NAME", help_behavior_hint=""), arg(metavar="N|SHARE", help_behavior_hint="")


def export(
    folder: Positional[Path], format: Format = "messages", to: Annotated[str, TO] = "", reasoning: Reasoning = "drop",
    plain: bool = False, flip: bool = False, redact: bool = False, test: Annotated[str, TEST] = "", push: bool = False,
    public: bool = False, yes: bool = False, json: bool = False,
) -> int:  # fmt: skip
    """Write what was kept in a trainer's format.

    Args:
        folder: the run folder
        format: messages (TRL and most trainers), prompt-completion, alpaca (instruction, input, output), sharegpt
            (from, value), or preference (prompt, chosen, rejected)
        to: FILE (.jsonl, .json, .parquet; .gz), FOLDER (Parquet and card), or hub:ORG/NAME; empty: standard output
        reasoning: what the model thought: drop, include (as reasoning_content where a row has messages of role and
            content), or inline (<think>...</think> before the answer)
        plain: texts instead of messages, in prompt-completion and preference
        flip: instruction and answer change places, to train a model that writes instructions to texts
        redact: replace e-mail addresses, phone and card numbers, IBANs, identity numbers, public IP addresses, keys
        test: hold out a test split by family, a fraction (0.1) or a number of rows; for FOLDER and hub
        push: upload to the hub; without it, only say what would be uploaded
        public: make the hub's repository public; else it is private
        yes: upload in spite of what is warned of
        json: print the counts as JSON (with --to)
    """
    order = Order(Form(format, plain, reasoning, flip), redact, amount(test) if test else None)
    _check(to, order, hub_only={"--push": push, "--public": public, "--yes": yes})
    repo = check_name(to) if to.startswith("hub:") else ""
    say = render.print_json if json else _say
    with open_run(folder) as pool:
        run = Export(pool, order)
        if not to:
            run.to_stream(sys.stdout)
            return 0
        if repo:
            told = _hub(pool, folder, run, order, repo, push=push, public=public, yes=yes, say=say)
        elif kind_of(Path(to)):
            told = {"file": to} | _counts(run.to_file(Path(to)))
        else:
            told = {"folder": to} | _repository(pool, folder, run, order, Path(to))
    say(told)
    return 0


def _check(to: str, order: Order, *, hub_only: dict[str, bool]) -> None:
    hub, form, path = to.startswith("hub:"), order.form, Path(to)
    if given := [flag for flag, value in hub_only.items() if value and not hub]:
        raise UserError(f"{given[0]}: only with --to hub:ORG/NAME, found --to {to or 'nothing'}")
    if order.test and not hub and (not to or kind_of(path)):
        raise UserError(f"--test: one file has no splits; name a folder, such as --to {path.stem or 'dataset'}")
    if form.plain and form.format not in ("prompt-completion", "preference"):
        raise UserError(f"--plain: {form.format} has one form only; allowed with prompt-completion and preference")
    if form.flip and form.format == "preference":
        raise UserError("--flip: preference has two answers to one task; allowed with every other --format")
    if not hub and path.suffix and not kind_of(path) and not to.endswith("/") and not path.is_dir():
        kinds = ", ".join(KINDS)
        raise UserError(f"--to {to}: no such kind of file is written; allowed: {kinds}, FOLDER/, hub:ORG/NAME")


def _repository(pool: Pool, folder: Path, run: Export, order: Order, to: Path) -> dict[str, Any]:
    facts, shown = replace(facts_of(pool, folder), name=to.resolve().name), list[CardFacts]()

    def page(tally: Tally) -> str:
        shown.append(told_of(facts, order, tally))
        return card(shown[0])

    tally = run.to_folder(to, page)
    files = {str(p.relative_to(to)): p.stat().st_size for p in sorted(to.rglob("*")) if p.is_file()}
    licence = ", ".join(strictest(shown[0].licences)) or "not stated"
    return _counts(tally) | {"licence": licence, "files": files, "warnings": cautions(shown[0], tally)}


def _hub(
    pool: Pool, folder: Path, run: Export, order: Order, repo: str, *, push: bool, public: bool, yes: bool,
    say: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:  # fmt: skip
    """What would be uploaded, made and looked at in full; with `push`, uploaded."""
    with tempfile.TemporaryDirectory() as place:
        made = Path(place) / repo.rpartition("/")[2]
        told = {"hub": repo, "public": public} | _repository(pool, folder, run, order, made)
        if not push:
            return told | {"pushed": ""}
        if told["warnings"] and not yes:
            say(told)
            raise UserError(f"hub:{repo}: nothing was uploaded; mend what is warned of (--redact), or add --yes")
        return told | {"pushed": upload(made, repo, public=public)}


def _counts(tally: Tally) -> dict[str, Any]:
    return {"rows": dict(tally.rows), "skipped": dict(tally.skipped), "redacted": dict(tally.redacted)}


def _say(told: dict[str, Any]) -> None:
    def line(text: str) -> None:
        OUT.print(render.plain(text), soft_wrap=True)

    splits = told["rows"]
    many = len(splits) > 1
    rows = " + ".join(f"{n:,} {split}" if many else f"{n:,}" for split, n in splits.items()) or "0"
    left = "".join(f"; {count:,} left out: {reason}" for reason, count in told["skipped"].items())
    left += "".join(f"; {count:,} {kind} replaced" for kind, count in sorted(told["redacted"].items()))
    rows += " row" if sum(splits.values()) == 1 else " rows"
    line(f"{rows} in {told.get('file') or told.get('folder') or 'hub:' + told['hub']}{left}")
    for name, size in told.get("files", {}).items():
        line(f"  {name}  {size:,} bytes")
    if "licence" in told:
        line(f"licence: {told['licence']}")
    for warning in told.get("warnings", ()):
        line(f"warning: {warning}")
    if "pushed" in told:
        kind = "public" if told["public"] else "private"
        dry = f"nothing was uploaded; --push does it, to a {kind} repository"
        line(f"uploaded: {told['pushed']}" if told["pushed"] else dry)
