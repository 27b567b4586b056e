"""Coverage-guided fuzzing of every parser (atheris): `python tests/fuzz/run.py` makes a million executions in all.

    --runs N        executions of each target; without it, each target's own number
    --seconds N     or so many seconds for each target
    --scale X       the own numbers times X
    --only WORD     targets whose name holds this; may be repeated
    --jobs N        targets at a time (1)
    --keep          put what was found into tests/fuzz/corpus, minimised
    --table FILE    write the table as Markdown, too

Prints for each parser: executions; the edges of `gen` that were covered at all; the lines of the functions of its own
modules that its corpus covers; the execution at which coverage last grew; failures, each as its kind and the line in gen
where it arose, with the input in .fuzz/failures. An input that takes more than a second of CPU, or 2 GiB, is a failure."""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import hashlib
import importlib
import importlib.util
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
import traceback
from pathlib import Path
from types import CodeType

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT)]
WORK = ROOT / ".fuzz"
SECONDS, BYTES = 1.0, 2 << 30


def find(name: str):
    import kit

    target = next(target for target in kit.targets(name.partition(".")[0]) if target.name == name)
    for module in target.watched:  # some are imported only when they are needed
        importlib.import_module(module)
    return target


def place_of(error: BaseException) -> str:
    """What went wrong, and where in gen."""
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if "/gen/" in f.filename or "/filters/" in f.filename
    ]
    last = frames[-1] if frames else traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} {Path(last.filename).relative_to(ROOT) if str(ROOT) in last.filename else last.filename}:{last.lineno}"


def fuzz(name: str, options: list[str]) -> None:
    """One target in this process; never comes back."""
    import atheris

    with atheris.instrument_imports(include=["gen", "filters"], enable_loader_override=False):
        target = find(name)
    failures, seen = WORK / "failures" / name, set[str]()

    def one(data: bytes) -> None:
        began = time.process_time()
        try:
            target.run(data)
            what = ""
        except Exception as error:
            what, trace = place_of(error), traceback.format_exc()
        if (took := time.process_time() - began) > SECONDS and not what:
            what, trace = "slow", f"{took:.1f} s of CPU"
        if what and what not in seen:
            seen.add(what)
            failures.mkdir(parents=True, exist_ok=True)
            sign = hashlib.blake2b(what.encode(), digest_size=4).hexdigest()
            (failures / sign).write_bytes(data)
            (failures / f"{sign}.txt").write_text(f"{what}\n{data!r}\n\n{trace}", errors="backslashreplace")

    resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))  # libraries map much that they never touch
    atheris.Setup([sys.argv[0], *options], one)
    atheris.Fuzz()


def cover(name: str) -> None:
    """Print how many lines of the functions of a target's modules its corpus covers, how many there are, and which
    inputs, the shortest first, go from one line to another as none before them did."""
    target = find(name)
    modules = [importlib.import_module(module) for module in target.watched]
    wanted, met, ways, kept = dict[str, set[int]](), dict[str, set[int]](), set[tuple[object, ...]](), list[str]()
    for module in modules:
        path = str(module.__file__)
        lines = set[int]()
        todo = [c for c in compile(Path(path).read_text(), path, "exec").co_consts if isinstance(c, CodeType)]
        while todo:
            code = todo.pop()
            todo += [c for c in code.co_consts if isinstance(c, CodeType)]
            is_class = code.co_flags & 3 == 0  # no function: neither optimised nor with locals of its own
            lines |= (
                set() if is_class else {line for _, _, line in code.co_lines() if line and line != code.co_firstlineno}
            )
        wanted[path], met[path] = lines, set()

    def trace(frame, event, _):
        lines = met.get(frame.f_code.co_filename)
        if lines is None:
            return None
        lines.add(frame.f_lineno)
        ways.add((frame.f_code, last.get(frame), frame.f_lineno))
        last[frame] = frame.f_lineno
        return trace

    for path in sorted((WORK / "corpus" / name).iterdir(), key=lambda path: (path.stat().st_size, path.name)):
        last, before = dict[object, int](), len(ways)
        sys.settrace(trace)
        with contextlib.suppress(Exception):
            target.run(path.read_bytes())
        sys.settrace(None)
        kept += [path.name] if len(ways) > before else []
    print(json.dumps([sum(len(met[p] & wanted[p]) for p in wanted), sum(map(len, wanted.values())), kept]))


def child(what: str, name: str, *options: str, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", **({"TMPDIR": memory} if memory else {})}
    command = [sys.executable, str(HERE / "run.py"), f"--{what}", name, "--", *options]
    return subprocess.run(
        command, env=env, capture_output=True, text=True, errors="replace", check=False, timeout=timeout
    )


def run(target, runs: int, seconds: int) -> dict[str, object]:
    """One target in processes of its own; the row of the table."""
    import kit

    folder = WORK / "corpus" / target.name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(WORK / "failures" / target.name, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, data in enumerate([b"", *kit.corpus(target.name)]):
        (folder / f"kept-{number}").write_bytes(data)
    words = WORK / f"{target.name}.words"
    words.write_text(
        "".join(
            f'"{"".join(f"{chr(92)}x{b:02x}" for b in word.encode("utf-8", "surrogatepass"))}"\n'
            for word in target.words
            if word
        )
    )
    bound = [f"-runs={runs}"] if runs else []
    bound += [f"-max_total_time={seconds}"] if seconds else []
    options = [
        *bound,
        f"-max_len={target.most}",
        *([f"-dict={words}"] if target.words else []),
        "-timeout=60",
        f"-rss_limit_mb={BYTES >> 20}",
        "-print_final_stats=1",
        f"-artifact_prefix={WORK}/",
    ]
    began = time.monotonic()
    done = child("fuzz", target.name, *options, str(folder))
    said = done.stderr
    steps = [(int(n), kind, int(cov)) for n, kind, cov in re.findall(r"^#(\d+)\s+(\w+)\s+cov: (\d+)", said, re.M)]
    executed = re.search(r"number_of_executed_units:\s*(\d+)", said)
    grew, edges = 0, 0
    for number, kind, cov in steps:
        if cov > edges:
            grew, edges = (number if kind not in ("INITED",) else 0), cov
    count = int(executed[1]) if executed else max((n for n, _, _ in steps), default=0)
    failures = [
        p.read_text(errors="replace").split("\n", 1)[0] for p in sorted((WORK / "failures" / target.name).glob("*.txt"))
    ]
    if done.returncode:
        failures.append(f"ended with {done.returncode}: {said.strip().splitlines()[-1][:200] if said.strip() else ''}")
    told = child("cover", target.name).stdout
    covered, lines, kept = json.loads(told) if told.startswith("[") else (0, 0, [])
    (WORK / f"{target.name}.log").write_text(said)
    return {"parser": target.name, "executions": count, "seconds": round(time.monotonic() - began), "edges": edges, "lines": f"{covered}/{lines}",
            "last grew at": grew, "inputs": len([*folder.iterdir()]), "failures": failures, "kept": kept}  # fmt: skip


def keep(target, names: list[str]) -> None:
    """The inputs of these names as the kept corpus, with those that fail: they are the regression tests."""
    import kit

    broken = [path for path in (WORK / "failures" / target.name).glob("*") if not path.suffix]
    found = [path.read_bytes() for path in (*(WORK / "corpus" / target.name / name for name in names), *broken)]
    if found:
        kit.write_corpus(target.name, found)


def main() -> int:
    import kit

    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag, kind, default in (
        ("--runs", int, 0),
        ("--seconds", int, 0),
        ("--scale", float, 1.0),
        ("--jobs", int, 1),
        ("--table", str, ""),
    ):
        args.add_argument(flag, type=kind, default=default)
    args.add_argument("--only", action="append", default=[])
    args.add_argument("--keep", action="store_true")
    told = args.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed here: pip install -c constraints.txt -e '.[fuzz]' (Linux, CPython)")
        return 2
    chosen = [t for t in kit.targets() if not told.only or any(word in t.name for word in told.only)]
    WORK.mkdir(exist_ok=True)
    rows = []
    head = ("parser", "executions", "seconds", "edges", "lines", "last grew at", "inputs", "failures")
    form = "{:<20} {:>11} {:>8} {:>6} {:>10} {:>13} {:>7}  {}"
    print(form.format(*head), flush=True)
    with concurrent.futures.ThreadPoolExecutor(told.jobs) as pool:

        def one(target):
            runs = told.runs or (0 if told.seconds else round(target.runs * told.scale))
            row = run(target, runs, told.seconds)
            if told.keep:
                keep(target, row["kept"])
            return row

        for row in pool.map(one, chosen):
            rows.append(row)
            print(form.format(*(row[k] if k != "failures" else len(row[k]) or "none" for k in head)), flush=True)
            for failure in row["failures"]:
                print(f"    {failure}", flush=True)
    total = sum(row["executions"] for row in rows)
    failed = sum(len(row["failures"]) for row in rows)
    print(f"{total:,} executions, {failed} failures")
    if told.table:
        body = [
            f"| {' | '.join(head[:7])} |",
            "|---|" + "---:|" * 6,
            *(
                f"| {' | '.join(f'{row[k]:,}' if isinstance(row[k], int) else str(row[k]) for k in head[:7])} |"
                for row in rows
            ),
        ]
        Path(told.table).write_text("\n".join(body) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] in ("--fuzz", "--cover"):
        (fuzz(sys.argv[2], sys.argv[4:]) if sys.argv[1] == "--fuzz" else cover(sys.argv[2]))
    else:
        sys.exit(main())
