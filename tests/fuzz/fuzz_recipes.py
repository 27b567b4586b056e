"""Recipes: a file or a table is a recipe that means the same when it is written and read again, or a RecipeError (for a
prompt: a PromptError) that names the place."""

from __future__ import annotations

import contextlib
import io
from functools import cache

import tomli_w
from kit import Target, folder
from shapes import Take

from gen import catalog
from gen import recipe as recipes
from gen.commands import run as commands
from gen.engines.scripted import Scripted
from gen.errors import PromptError, RecipeError

LOOPS = tuple(name for _, name in catalog.names("loop"))
FILTERS = tuple(name for _, name in catalog.names(*recipes.FILTER_KINDS))
KEYS = tuple(dict.fromkeys((
    "loop", "rounds", "seed", "prompts", "score_all", "gate", "filters", "optional", "stages", "target", *LOOPS, *FILTERS, *recipes.SECTIONS,
    *(p.name for cls in recipes.SECTIONS.values() for p in catalog.parameters(cls)),
    *(p.name for name in LOOPS for p in catalog.parameters(catalog.load(name, "loop"))),
    *(p.name for name in FILTERS for p in catalog.parameters(catalog.load(name, *recipes.FILTER_KINDS))),
)))  # fmt: skip
VALUES = (
    "evolve",
    "micro",
    "all",
    "last",
    "off",
    "on",
    "auto",
    "http://127.0.0.1:1/v1",
    "a.jsonl",
    "x",
    "constrain",
    "en",
    "loss",
    *LOOPS,
    *FILTERS,
)
TOML = (
    *(f"{key} = " for key in KEYS),
    "[[stages]]\n",
    "[gate]\n",
    "[source]\n",
    "[model]\n",
    "[gate.length]\n",
    "[roles]\n",
    "[budget]\n",
    '"',
    "'''",
    '"""',
    "[",
    "]",
    "{",
    "}",
    "\n",
    "1979-05-27",
    "inf",
    "nan",
    "0x",
    "1_000",
    "true",
    ".",
    "=",
    *(f'"{v}"' for v in VALUES),
)


recipes.Prompts = cache(recipes.Prompts)  # what ships is read once, and not in every execution


def _same(recipe: recipes.Recipe) -> None:
    table = recipes.table_of(recipe)
    assert recipes.table_of(recipes.build(table)) == table
    recipe.run_name("x")


def _refused(error: Exception, where: str) -> None:
    said = str(error)
    assert said.startswith(where) or isinstance(error, PromptError), said[:300]
    assert len(said) < 4000, said[:5000]


def files(data: bytes) -> None:
    path = folder() / "recipe.toml"
    path.write_bytes(data)
    try:
        recipe = recipes.read(path)
    except (RecipeError, PromptError) as error:
        _refused(error, str(path))
        return
    _same(recipe)


def tables(data: bytes) -> None:
    """A table, most of whose keys are known: through TOML, as a user's comes."""
    take = Take(data)
    table = {take.name(KEYS): take.json(KEYS, VALUES, 3) for _ in range(take.byte() % 4)}
    loop = take.pick(LOOPS)
    table |= {"loop": loop} if take.byte() % 4 else {}
    for section, keys in (
        (loop, catalog.parameters(catalog.load(loop, "loop"))),
        *((n, catalog.parameters(c)) for n, c in recipes.SECTIONS.items()),
    ):
        if take.byte() % 3 == 0 and keys:
            table[section] = {take.pick(keys).name: take.json(KEYS, VALUES, 4) for _ in range(take.byte() % 3)}
    if take.byte() % 3 == 0:
        table["gate"] = {"filters": [take.pick(FILTERS)]} | {
            take.pick((*FILTERS, "optional", "filters")): take.json(KEYS, VALUES, 4)
        }
    if take.byte() % 4 == 0:
        table["stages"] = [take.object(KEYS, VALUES) | {"loop": take.pick(LOOPS)} for _ in range(take.byte() % 3)]
        table.pop("loop", None)
    with contextlib.suppress(TypeError, UnicodeError):  # what TOML cannot say
        table = recipes.tomllib.loads(tomli_w.dumps(table))
        try:
            recipe = recipes.build(table, where="recipe")
        except (RecipeError, PromptError) as error:
            _refused(error, "recipe")
            return
        _same(recipe)


FLAGS = (
    *(f"--{key.replace('_', '-')}" for key in KEYS),
    "--gate",
    "--with",
    "--without",
    "--map",
    "--out",
    "--recipe",
    "--print-recipe",
    "--json",
    "--help",
)
GIVEN = (
    *VALUES,
    "-1",
    "0",
    "1",
    "1e999",
    "nan",
    "inf",
    "9" * 30,
    "",
    "a=b",
    "=",
    "constrain=1",
    "x=1e5",
    "None",
    "[]",
    "{}",
    "1,2",
    "--",
    "-",
    "\0",
    "\ud800",
    "二",
)


def flags(data: bytes) -> None:
    """The flags of a loop's command, as far as the recipe that they amount to."""
    take = Take(data)
    loop = take.pick(LOOPS)
    args = [take.pick(FLAGS) if take.byte() % 2 else take.pick(GIVEN) for _ in range(take.byte() % 7)]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            recipe, _ = commands.parse(loop, args, f"gen {loop}", [commands.OUTPUT])
        except SystemExit as end:
            assert end.code in (0, 2), (end.code, args)
            return
        except (RecipeError, PromptError) as error:
            assert 0 < len(str(error)) < 4000
            return
    _same(recipe)


def scripts(data: bytes) -> None:
    """The rules of canned replies."""
    path = folder() / "script.toml"
    path.write_bytes(data)
    try:
        Scripted(str(path))
    except RecipeError as error:
        _refused(error, str(path))


SCRIPT = (
    "[[rule]]\n",
    "reply = ",
    "role = ",
    '"judge"',
    "step = ",
    "contains = ",
    "finish = ",
    '"length"',
    '["a", "b"]',
    "reasoning = ",
    '"x"',
    "\n",
    "[",
    "{",
    "=",
)
TARGETS = (
    Target("recipes.files", files, ("gen.recipe", "gen.plan", "gen.plain", "gen.sections"), TOML, 30_000, 1024),
    Target("recipes.tables", tables, ("gen.recipe", "gen.plan", "gen.plain", "gen.sections"), (), 20_000),
    Target("recipes.flags", flags, ("gen.flags", "gen.commands.run"), (), 1_000, 64),
    Target("recipes.scripts", scripts, ("gen.engines.scripted",), SCRIPT, 60_000),
)
