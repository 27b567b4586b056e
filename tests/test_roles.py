"""Who is asked in which role, and what happens where nobody can measure what the gate needs."""

import asyncio
import json
from dataclasses import dataclass

import pytest

from gen import recipe as recipes
from gen.catalog import component
from gen.cli import main
from gen.core import Score, Scoring, Verdict
from gen.engines.scripted import Scripted
from gen.errors import EngineError, RecipeError
from gen.gate import Gate
from gen.pool import Pool
from gen.roles import Staff, at_work, hire
from gen.sections import split_engine

REWRITE = "<instruction>\nName five rivers of Europe and, for each, one city that stands on it.\n</instruction>"
SCRIPTS = {
    "all": [("evolver", REWRITE), ("judge", "Not equal"), ("answerer", "The Rhine flows through Basel, for one.")],
    "judge": [("judge", "Equal")],
}


@component("surprise", source="ours")
@dataclass(frozen=True)
class Surprise:
    def score(self, sample):
        yield [Scoring((), sample.response or "")]
        return Score("surprise", 1.0)

    def judge(self, score):
        return Verdict(True)


@pytest.fixture
def place(tmp_path, monkeypatch):
    for name, rules in SCRIPTS.items():
        rows = [f"[[rule]]\nrole = {role!r}\nreply = {reply!r}\n" for role, reply in rules]
        (tmp_path / f"{name}.toml").write_text("".join(rows).replace("\\n", "\\n").replace("'", '"'))
    (tmp_path / "seeds.jsonl").write_text('{"instruction": "Name a river.", "output": "The Rhine."}\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("name", "model", "urls"), [
    ("", "", ()), ("org/m", "org/m", ()), ("http://a:1/v1", "", ("http://a:1/v1",)),
    ("org/m@http://a:1,https://b", "org/m", ("http://a:1", "https://b")), ("a@b/m", "a@b/m", ()),
])  # fmt: skip
def test_a_role_names_a_model_a_server_or_both(name, model, urls):
    assert split_engine(name) == (model, urls)


def evolve(*flags):
    return main(["evolve", "seeds.jsonl", "--rounds", "1", "--model", "script:all.toml", "--quiet", "--json", *(flags if "semantic" in flags else ("--without", "semantic", *flags))])


def test_each_role_is_asked_by_its_own_engine(place, capsys):
    assert evolve("--out", "one") == 0
    one = json.loads(capsys.readouterr().out)
    assert evolve("--judge", "script:judge.toml", "--out", "two") == 0
    two = json.loads(capsys.readouterr().out)
    assert (one["kept"], two["kept"]) == (2, 1), "the other judge finds every rewrite equal"
    with Pool.open(place / "two", readonly=True) as pool:
        models = {role: fingerprint for role, _, fingerprint, _ in pool.state("models")}
    assert models["judge"] != models["evolver"] == models["answerer"]
    assert "roles.judge" in refused(capsys, "--out", "two")


def refused(capsys, *flags):
    assert evolve(*flags) == 2
    return capsys.readouterr().err


def test_rows_name_the_weights_that_made_them(place, capsys):
    assert evolve("--judge", "script:all.toml", "--out", "run") == 0
    with Pool.open(place / "run", readonly=True) as pool:
        seed, grown = pool.kept(1)
        [model] = grown.lineage.models
        assert model.startswith("scripted@")
        assert seed.lineage.models == (), "a person wrote it"


def test_one_engine_serves_all_roles_of_one_model(place):
    recipe = recipes.build({"model": {"name": "script:all.toml"}, "roles": {"judge": "http://127.0.0.1:1", "answerer": "script:all.toml"}})
    staff = hire(recipe, Gate([Surprise()]))
    assert staff.engines["evolver"] is staff.engines["answerer"] is staff.engines["scorer"]
    assert staff.engines["judge"] is not staff.engines["evolver"]
    assert "scorer" not in hire(recipe, Gate([])).engines, "what is not needed is not opened"


def opened(optional, before):
    recipe = recipes.build({"model": {"name": "script:all.toml"}, "gate": {"filters": []}})
    recipe = recipes.replace(recipe, gate=(Surprise(),), optional=optional)
    said = []

    async def go():
        async with at_work(hire(recipe, Gate(recipe.gate)), recipe, before, said.append) as staff:
            return staff.left_out

    return asyncio.run(go()), said


def test_a_filter_of_the_default_gate_leaves_with_one_line(place):
    left_out, [line] = opened(("surprise",), None)
    assert list(left_out) == ["surprise"]
    assert "surprise" in line
    assert list(opened(("surprise",), left_out)[0]) == ["surprise"]


def test_a_filter_that_was_named_stops_the_run_before_it_begins(place):
    with pytest.raises(RecipeError, match="--without surprise"):
        opened((), None)


def test_who_was_named_to_measure_must_be_able_to(place, capsys):
    (place / "empty").mkdir()
    told = refused(capsys, "--with", "semantic", "--embedder", "./empty", "--out", "run")
    assert "--embedder ./empty" in told
    assert "--scorer script:judge.toml" in refused(capsys, "--scorer", "script:judge.toml", "--out", "run")


def test_a_run_that_was_begun_with_a_filter_does_not_go_on_without(place):
    with pytest.raises(EngineError, match="begun with 'surprise'"):
        opened(("surprise",), {})


def test_the_encoder_loads_while_servers_start_but_not_beside_a_local_model(place):
    """Two threads that import transformers at once break its lazy modules."""
    seen = []

    class Slow(Scripted):
        def __init__(self, kind):
            super().__init__([{"reply": "x"}])
            self.kind = kind

        async def open(self):
            await asyncio.sleep(0.05)
            seen.append("engine")

    class Encoder:
        scripts, fingerprint, model, width = None, "f", "m", 1

        async def open(self):
            seen.append("encoder")

        async def close(self):
            seen.append("closed")

    recipe = recipes.build({"gate": {"filters": []}})

    async def go(kind):
        async with at_work(Staff({"judge": Slow(kind)}, Encoder()), recipe, None, seen.append):
            pass
        return [seen.pop(0) for _ in range(3)]

    assert asyncio.run(go("vllm")) == ["encoder", "engine", "closed"]
    assert asyncio.run(go("local")) == ["engine", "encoder", "closed"]
