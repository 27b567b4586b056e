"""The command line: one subcommand per loop and per verb. Heavy rooms are imported by the command that
needs them, so that `gen --help` is instant."""

from __future__ import annotations

import errno
import gc
import importlib
import io
import os
import re
import signal
import sys
from collections.abc import Sequence

from gen import __version__, catalog
from gen.errors import GenError, nearest

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
VERBS = {
    "run": "run a recipe file, or go on with it",
    "serve": "start vLLM servers of a model, and keep them running until Ctrl-C",
    "show": "one sample: its family, what was asked and replied, why it was kept or dropped",
    "funnel": "how many candidates came to which end, by round and reason",
    "regate": "judge all candidates again by another gate, without asking the model anything",
    "export": "write the dataset in a trainer's format: to a file, a dataset folder, the hub",
    "estimate": "what a run will cost, before it is begun: calls, tokens, time, bytes",
    "doctor": "what is installed, which GPUs, models and servers are here, and what is missing",
    "prove": "whether loops and gates make better data, in a small world where every answer can be checked",
    "evol-stop": "which round of a finished run to train on, by a score of your own",
    "score": "a score of every row of any dataset, such as IFD",
    "auto-evol": "improve an evolving method on a few seeds, for `gen evolve` to use (Auto Evol-Instruct)",
    "loops": "the loops, where they come from, their parameters",
    "filters": "the filters, where they come from, their parameters",
    "prompts": "list, show or copy the prompt files, or compare two wordings of one",
}
MODULES = {
    "run": "run", "regate": "run", "show": "look", "funnel": "look", "export": "export", "doctor": "doctor",
    "estimate": "estimate", "score": "score", "serve": "serve", "auto-evol": "auto_evol", "compare": "compare",
    "evol-stop": "evol_stop", "prove": "prove",
}  # fmt: skip
"""The module of `gen.commands` where a verb lives; the others are in `parts`."""

COLLECT = (20_000, 20, 20)
"""When garbage is looked for: little here lies in circles, and at Python's own 700 objects a twentieth of all work is
looking."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Exit codes: 0 done, 1 failure, 2 the user's mistake, 75 stopped: run it again."""
    args = list(sys.argv[1:] if argv is None else argv)
    if argv is None:
        _heed_signals()
        gc.set_threshold(*COLLECT)
    for stream in (sys.stdout, sys.stderr):  # what a model wrote may not fit the terminal's encoding
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    if not args or args[0] in ("-h", "--help", "help"):
        print(_help())  # noqa: T201
        return 0
    if args[0] in ("--version", "-V"):
        print(f"gen {__version__}")  # noqa: T201
        return 0
    try:
        return _dispatch(args[0].replace("_", "-"), _joined(args[1:]))
    except GenError as error:
        _tell(str(error))
        return error.exit_code
    except BrokenPipeError:  # `gen export ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit as end:  # 1 is Rich's answer to `gen show ... | head`; tyro ends with 0 or 2
        return 0 if end.code == 1 else int(end.code or 0)
    except OSError as error:  # a full disk, a folder without permission
        _tell(f"{str(error.filename or 'system')[:200]}: {error.strerror or error}; mend it, then run the same command")
        if error.errno in (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR):  # no name of a file
            return 2
        return 75 if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO) else 1
    except KeyboardInterrupt:
        _tell("stopped at once; the same command goes on")
        return 75


def _heed_signals() -> None:
    """Whoever ends a program politely, or hangs up, is told as Ctrl-C is, also before and after a run's own work."""
    for name in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(name) is signal.SIG_DFL:  # `nohup` ignores the second
            signal.signal(name, signal.default_int_handler)


def _tell(message: str) -> None:
    """A message may quote a server, a file or a path: terminal escapes are taken out."""
    print(f"gen: {CONTROL.sub('�', message)}", file=sys.stderr)  # noqa: T201


def _joined(args: Sequence[str]) -> list[str]:
    """What `--vllm-args` is given looks like flags of ours: as one word with it, it does not."""
    rest = iter(args)
    return [f"{word}={next(rest, '')}" if word in ("--vllm-args", "--vllm_args") else word for word in rest]


def _dispatch(name: str, args: list[str]) -> int:
    loops = [loop.replace("_", "-") for _, loop in catalog.names("loop")]
    if name not in loops and name not in VERBS:
        _tell(f"no command is called {name!r}: {nearest(name, [*loops, *VERBS])}")
        return 2
    import tyro

    if name == "prompts" and args[:1] == ["compare"]:
        name, args = "compare", args[1:]
    module = importlib.import_module(f"gen.commands.{'run' if name in loops else MODULES.get(name, 'parts')}")
    if name in loops:
        return int(module.loop(name.replace("-", "_"), args))
    verb = getattr(module, name.replace("-", "_"))
    if name in ("estimate", "auto-evol", "compare"):  # they read flags of their own
        return int(verb(args))
    return int(tyro.cli(verb, args=args, prog=f"gen {name}", config=(tyro.conf.FlagCreatePairsOff,)))


def _about(loop: str) -> str:
    """What a loop does, as its file begins."""
    told = catalog.about(catalog.load(loop.replace("-", "_"), "loop"))
    told = told.partition(" (arXiv")[0].partition(" (Stan")[0].rstrip(" .,")
    return told if len(told) < 100 else f"{told[:99].rpartition(' ')[0]} ..."


def _help() -> str:
    loops = [loop.replace("_", "-") for _, loop in catalog.names("loop")]
    lines = ["usage: gen COMMAND ...", "", "Makes instruction-tuning datasets with open models only.", "", "loops:"]
    lines += [f"  {name:<14} {_about(name)}" for name in loops]
    lines += ["", "commands:", *(f"  {name:<14} {text}" for name, text in VERBS.items())]
    return "\n".join([*lines, "", "`gen COMMAND --help` explains a command; `gen --version` names the version."])
