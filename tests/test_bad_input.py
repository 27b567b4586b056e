"""What a person may get wrong, through the program itself: exit code 2, no traceback, and words that say where, what was
found, what is allowed, what to do."""

from __future__ import annotations

import gzip
import os
import re

import pytest

from gen.cli import main

GOOD = '{"instruction": "Write a poem.", "output": "Bees."}\n'
FORM = r"(expected|allowed|did you mean|see `|; \w|; `gen|gen [\w-]+ --help)"
"""Every message says what is allowed, or what to do."""
FILES = {
    "empty.jsonl": ("", "empty.jsonl: empty"),
    "blank.jsonl": ("\n \n", "blank.jsonl: empty"),
    "wide.jsonl": ('{"instruction": "a"}'.encode("utf-16"), "wide.jsonl: UTF-16"),
    "latin.jsonl": (b'{"instruction": "caf\xe9"}', "latin.jsonl: .*a byte that is not UTF-8 .* after .*caf"),
    "nul.jsonl": ("\0\0", "nul.jsonl: UTF-16, UTF-32 or no text"),
    "nul_inside.jsonl": ('{"instruction": "a\\u0000"}', "nul_inside.jsonl: .*a NUL character"),
    "half.jsonl": ('{"instruction": "\\ud800"}', "half.jsonl: .*half of a surrogate pair"),
    "nan.jsonl": ('{"instruction": "a", "x": NaN}', "nan.jsonl: .*element 1: .*not JSON compliant"),
    "infinite.jsonl": ('{"instruction": "a", "x": 1e400}', "infinite.jsonl: .*element 1: .*not JSON compliant"),
    "digits.jsonl": (f'{{"instruction": "a", "x": {"9" * 5000}}}', r"digits.jsonl: .*line 1: .*5000 digits"),
    "whole.jsonl": ('{"instruction": "a", "x": 99999999999999999999999}', "whole.jsonl: .*more than 64 bits"),
    "deepest.jsonl": (f'{{"x": {"[" * 100000}{"]" * 100000}}}', "deepest.jsonl: .*line 1: not valid JSON .*recursion"),
    "deep.jsonl": (f'{{"instruction": "a", "x": {"[" * 200}{"]" * 200}}}', "deep.jsonl: .*nested more than 100 deep"),
    "long.jsonl": (f'{{"instruction": "{"a" * 11_000_000}"}}', "long.jsonl: .*line 1: more than 10,000,000 bytes"),
    "cut.json": ("[1,2", "cut.json: not valid JSON .*line 1 column 5"),
    "other.json": ('{"a": 1}', "other.json: .*no column instruction.*columns found: a"),
    "nothing.json": ("[]", "nothing.json: no row is a seed"),
    "two.jsonl": ('{"instruction": "a"}{"instruction": "b"}\n', "two.jsonl: .*line 1: .*Extra data"),
    "number.jsonl": ("[1]\n", "number.jsonl: .*the row is 1; an object or a text is needed"),
    "hollow.jsonl": ('"  "\n', "hollow.jsonl: .*'instruction' is empty"),
    "list.jsonl": ('{"instruction": ["a"]}', r"list.jsonl: .*'instruction' is \['a'\]; a text is needed"),
    "tool.jsonl": ('{"messages": [{"role": "tool", "content": "x"}]}', "tool.jsonl: .*is about a tool"),
    "mute.jsonl": ('{"messages": []}', "mute.jsonl: .*turns of no user"),
    "void.jsonl": ('{"conversations": [{"from": "human", "value": null}]}', "void.jsonl: .*needs a role .* and a text"),
    "empty.csv": ("", "empty.csv: empty"),
    "twice.csv": ("a,a\n1,2\n", "twice.csv, line 1: two columns are called 'a'; rename"),
    "strange.csv": ("x,y\n1,2\n", "strange.csv: .*line 2: no column instruction"),
    "open.csv": ('instruction\n"open\n', "open.csv: .*line 2: no row of the table"),
    "ragged.csv": ("instruction\na,b\n", "ragged.csv: .*line 2: 2 cells, but 1 columns"),
    "columns.csv": (",".join(f"c{i}" for i in range(100_000)) + "\n1\n", "columns.csv: .*1 cells, but 100000 columns"),
    "short.parquet": ("PAR1xx", "short.parquet: damaged"),
    "empty.arrow": ("", "empty.arrow: damaged"),
    "plain.jsonl.gz": ("no gzip", "plain.jsonl.gz: damaged .gz"),
    "torn.jsonl.gz": (gzip.compress(GOOD.encode())[:-9], "torn.jsonl.gz: damaged .gz .*ended before"),
    "notes.txt": ("a", r"notes.txt: '.txt' is not read; allowed: .jsonl"),
}  # fmt: skip
NAMES = {
    "": "a name is empty; name a file",
    "nosuch.jsonl": r"nosuch.jsonl: no such file; .*allowed: .*good.jsonl",
    "pipe.jsonl": "pipe.jsonl: a pipe or device",
    "dead.jsonl": "dead.jsonl: no such file",
    "circle.jsonl": "circle.jsonl: no such file",
    "folder": "folder: no file in this folder is read; allowed: .jsonl",
    "/dev/zero": "/dev/zero: a pipe or device",
    "x" * 5000: "xxx: cannot be read .File name too long.",
    "good.jsonl#test": "good.jsonl#test: no such file; did you mean 'good.jsonl'",
    "\x1b[31mred.jsonl": "\ufffd\\[31mred.jsonl: no such file",
}
FLAGS = {
    "--map x": "--map 'x': expected FIELD=COLUMN",
    "--map foo=instruction": "--map foo=instruction: unknown field 'foo'; .*allowed: input",
    "--map instruction=nope": "good.jsonl: --map instruction=nope: no such column; .*allowed: instruction, output",
    "--turn 0": r"\[source\]: turn = 0; expected last, first, all",
    "--turn 7": "good.jsonl: .*turn 7 is asked for; user turns found: 1",
    "--turn x": "--turn",
    "--limit 0": r"\[source\]: limit = 0: .*allowed: at least 1",
    "--limit x": "--limit",
    "--rounds -1": r"rounds = -1: .*allowed: 0..100",
    "--rounds ²": "--rounds",
    "--temperature nan": r"\[evolve\]: temperature = nan: .*allowed: 0..2",
    "--gate nope": r"\[gate\]: no rule or score or dedup is called 'nope': .*allowed: code",
    "--without nope": "--without nope: not in the gate; .*allowed: empty",
    "--operations x=1": "no prompt is called 'evolve/x': did you mean",
    "--operations deepen=²": "--operations: expected NAME=WEIGHT",
    "--operations.deepen nan": "operations = .*nan.*; expected finite weights",
    "--server ftp://x": "--server: expected http://host:port/v1, got 'ftp://x'",
    "--server http://u:p@h": "--server: expected http://host:port/v1, got one with a user name",
    "--prompts nodir": "--prompts nodir: not a folder; `gen prompts copy",
    f"--prompts {'x' * 5000}": "not a folder",
    "--recipe nofile": "nofile: cannot be read .*; expected a TOML recipe",
    "--recipe pipe.jsonl": "pipe.jsonl: a folder, pipe or device; expected a TOML recipe",
    "--recipe /dev/zero": "/dev/zero: a folder, pipe or device; expected",
    "--recipe good.jsonl": "good.jsonl: not valid TOML: .*line 1.*`gen evolve --print-recipe`",
    "--max-time nan": r"\[budget\]: max_time = nan: .*allowed: above 0",
    "--min-diversity 2": r"\[budget\]: min_diversity = 2.0: .*allowed: above 0, at most 1",
    "--out good.jsonl": "good.jsonl: cannot be a run folder",
    f"--out {'x' * 5000}": "File name too long; mend it",
    "--width 0": r"\[model\]: width = 0: .*allowed: 1..4096",
    "--nosuch": "--nosuch",
}
RECIPES = {
    f"seed = {'9' * 5000}": "not valid TOML: a number of too many digits",
    f"seed = {'[' * 9000}": "not valid TOML: .*nested too deeply",
    "seed = \udcff": "not valid TOML: .*utf-8.*position 7",
    "loop = 3": "no loop is called '3': .*allowed: alpaca",
    "loop = 'filters.rules.empty:Empty'": "'filters.rules.empty:Empty' is no loop; see",
    "loop = 'evolv'": "no loop is called 'evolv': did you mean 'evolve'",
    "[gate]\noptional = 3": r"\[gate\]: optional = 3; expected a list of filter names",
    "[gate]\nfilters = 'exact'": r"\[gate\]: filters = 'exact'; expected a list of filter names",
    "[gate]\nfilters = ['os:path']": r"\[gate\]: 'os:path': the class is not marked; expected @component",
    "[[stages]]\nroles = 3": "stage 1: roles = 3; expected a table of roles",
    "stages = [1]": r"stages = \[1\]; expected one table \[\[stages\]\]",
    f"prompts = '{'x' * 5000}'": "not a folder; `gen prompts copy",
    "[source]\nmap = 3": r"\[source\]: map = 3: Expected `object`, got `int`; allowed: a table",
    "[model]\nserver = 'http://x'": r"\[model\]: server = 'http://x': Expected `array`, got `str`",
    "[evolve]\ntemprature = 1": r"\[evolve\]: unknown key 'temprature'; did you mean 'temperature'",
}
COMMANDS = {
    "evolv": "no command is called 'evolv': did you mean 'evolve'",
    "run nofile.toml": "nofile.toml: cannot be read .*; expected a TOML recipe",
    "run folder": "folder: a folder, pipe or device; expected a TOML recipe",
    "show nodir": "nodir: no such folder; expected a run folder",
    "funnel folder": "folder: .*no pool.db there; name the folder of a run",
    f"funnel {'x' * 5000}": "File name too long; mend it",
    "export nodir": "nodir: no such folder; expected a run folder",
    "regate nodir --recipe x": "nodir: no run is here .*; expected a folder",
    "score good.jsonl --batch-size 0": "expected --batch-size and --max-length of 1 or more",
    "prompts show nope": "no prompt is called 'nope': .*allowed: alpaca/triples",
    "loops nope": "no loop is called 'nope': .*allowed: alpaca",
    "filters nope": "no rule .* is called 'nope': did you mean",
    "backtranslate nofile.md": "nofile.md: no such file; .*allowed",
    "extract pipe.jsonl": "pipe.jsonl: a pipe or device",
    f"extract {'x' * 5000}": "xxx: cannot be read .File name too long.; check its name",
    "extract folder": "folder: no file below this folder is read; allowed: .txt",
}


@pytest.fixture
def told(tmp_path, monkeypatch, capfd):
    """What the program says about arguments, having ended as it should."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.jsonl").write_text(GOOD)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "dead.jsonl").symlink_to("nowhere")
    (tmp_path / "circle.jsonl").symlink_to("circle.jsonl")

    def told(*args: str) -> str:
        code, said = main(args), capfd.readouterr().err
        assert code == 2, (code, said)
        assert "Traceback" not in said
        assert re.search(FORM, said), said
        assert "\x1b" not in said
        assert len(said) < 8000 + 2 * sum(map(len, args))
        return " ".join(said.replace("|", " ").split())

    return told


@pytest.mark.parametrize("name", FILES)
def test_seed_files(told, tmp_path, name):
    data, why = FILES[name]
    (tmp_path / name).write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"))
    assert re.search(f"gen: {why}", told("evolve", name, "--quiet"))


@pytest.mark.parametrize("name", NAMES)
def test_names_of_seeds(told, name):
    assert re.search(NAMES[name], told("evolve", name, "--quiet"))


@pytest.mark.parametrize("flags", FLAGS)
def test_flags(told, flags):
    assert re.search(FLAGS[flags], told("evolve", "good.jsonl", "--quiet", *flags.split(" ")))


@pytest.mark.parametrize("text", RECIPES)
def test_recipes(told, tmp_path, text):
    (tmp_path / "r.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert re.search(f"gen: r.toml.*{RECIPES[text]}", told("run", "r.toml", "--quiet"), re.S)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(told, command):
    assert re.search(COMMANDS[command], told(*command.split(" ")))


def test_a_recipe_may_begin_with_a_byte_order_mark(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.toml").write_bytes(b"\xef\xbb\xbfloop = 'evolve'\r\nrounds = 1\r\n")
    assert main(["evolve", "--recipe", "r.toml", "--print-recipe"]) == 0
    assert "rounds = 1" in capfd.readouterr().out
