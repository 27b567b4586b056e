"""Runs a Python program that nobody vouches for, cut off from everything. Linux only; a program of its own, which
`filters.sandbox` starts with a job on its standard input; it imports nothing of ours:

    gen  ->  this (new namespaces)  ->  init, process 1 within, keeps the clock  ->  the program

Namespaces: mounts, processes, network, IPC, host name, users. The program sees a root of its own in memory (the
system's /usr and Python's own folder, read-only; no /proc, no home), may write to /box alone, has no capability, no
variable of ours, no socket but of AF_UNIX, and is somebody else where gen is root. It ends with process 1, by the
kernel's hand, and that ends with gen. What cannot be had is a reason to refuse, never to go on without."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import resource
import signal
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

MACHINE = os.uname().machine
NEW_USER, NEW_REST = 0x10000000, 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x20000000 | 0x40000000
"""CLONE_NEWUSER; and NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWPID, NEWNET."""
BIND, REC, PRIVATE, NOSUID, NODEV, DETACH = 0x1000, 0x4000, 1 << 18, 2, 4, 2
NOBODY = 65534
NEW_ROOT = "/sys"
"""A folder that is always there and shows nothing that is wanted inside: the new root is mounted over it."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache")
MOUNT_SETATTR = 442
CALLS = {  # arch, pivot_root, socket, clone, then what is denied: whatever makes namespaces, mounts, memory that no
    # limit counts, looks into others, or reaches corners of the kernel that no exercise needs
    "x86_64": (0xC000003E, 155, 41, 56, (
        272, 308, 165, 166, 155, 161, 101, 310, 311, 312, 321, 323, 298, 248, 249, 250, 319, 29, 303, 304, 300, 135)),
    "aarch64": (0xC00000B7, 41, 198, 220, (
        97, 268, 40, 39, 41, 51, 117, 270, 271, 272, 280, 282, 241, 217, 218, 219, 279, 194, 264, 265, 262, 92)),
}  # fmt: skip
DENIED = (425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 442, 447)
"""The same on both: io_uring, the newer mounts, pidfd_getfd, memfd_secret."""
RUNNER = '''
import ast, json, os, sys, types
report = os.fdopen(os.dup(3), "w")
os.close(3)
me = os.getpid()
def say(**found):
    if os.getpid() != me:  # a fork that came to the end of its own
        os._exit(1)
    report.write(json.dumps(found))
    report.flush()
    os._exit(0)
def failed(error, where):
    line, at = 0, error.__traceback__
    while at:
        line, at = at.tb_lineno if at.tb_frame.f_code.co_filename == where else line, at.tb_next
    say(where=where, line=line or getattr(error, "lineno", 0) or 0, error=f"{type(error).__name__}: {error}"[:500])
with open("/box/answer.py") as f, open("/box/tests.py") as g:
    code, tests = f.read(), g.read()
module = sys.modules["answer"] = types.ModuleType("answer")
for where, text in (("answer", code), ("tests", tests)):
    try:
        exec(compile(text, where, "exec"), module.__dict__)
    except BaseException as error:
        failed(error, where)
say(passed=True)
'''
libc: Any = ctypes.CDLL(None, use_errno=True)
libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]


class Refused(Exception):
    """The program cannot be isolated here; the text says why."""


def call(what: str, result: int) -> None:
    if result != 0:
        raise Refused(f"{what}: {os.strerror(ctypes.get_errno())}")


def prctl(option: int, value: int, more: int = 0) -> None:
    call(f"prctl {option}", libc.prctl(option, value, more, 0, 0))


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    text = [part.encode() for part in (source, target, kind, data)]
    call(f"mounting {target}", libc.mount(text[0], text[1], text[2], ctypes.c_ulong(flags), text[3]))


def seal(path: str, *, below: bool = True) -> None:
    """Make a mount, and all below it, read-only, without set-uid programs (and devices, where it is no device)."""
    attributes = struct.pack("QQQQ", 1 | 2 | (0 if path.startswith(f"{NEW_ROOT}/dev/") else 4), 0, 0, 0)
    done = libc.syscall(MOUNT_SETATTR, -100, path.encode(), 0x8000 if below else 0, attributes, ctypes.c_size_t(32))
    call(f"making {path} read-only", done)


def show(path: Path) -> None:
    """The file or folder of the outside at the same place inside, read-only; a link as the link that it is."""
    inside = Path(f"{NEW_ROOT}{path}")
    inside.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        inside.symlink_to(path.readlink())
        return
    if not path.exists():
        return
    if path.is_dir():
        inside.mkdir(parents=True, exist_ok=True)
    else:
        inside.touch()
    mount(str(path), str(inside), "", BIND | REC)
    seal(str(inside))


def furnish(job: dict[str, Any]) -> None:
    """The new root, with the program in /box, and nothing of the old one left."""
    mount("", "/", "", REC | PRIVATE)
    mount("tmpfs", NEW_ROOT, "tmpfs", NOSUID | NODEV, "size=1m,nr_inodes=512,mode=755")
    for path in (*SYSTEM, *job["show"], *DEVICES):
        show(Path(path))
    box = Path(NEW_ROOT, "box")
    box.mkdir()
    mount("tmpfs", str(box), "tmpfs", NOSUID | NODEV, f"size={job['disk']},nr_inodes=256,mode=777")
    Path(NEW_ROOT, "tmp").symlink_to("/box")
    for name, text in {"run.py": RUNNER, "answer.py": job["code"], "tests.py": job["tests"]}.items():
        (box / name).write_text(text, encoding="utf-8", errors="replace")
    os.chdir(NEW_ROOT)
    call("pivot_root", libc.syscall(CALLS[MACHINE][1], b".", b"."))
    call("leaving the old root", libc.umount2(b".", DETACH))
    os.chdir("/")
    seal("/", below=False)


def own_users(proc: int, uid: int, gid: int) -> None:
    """A namespace of users in which there is one: so that limits on processes count those of the program alone."""
    call("a namespace of users", libc.unshare(NEW_USER))
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        try:
            with open(os.open(f"self/{name}", os.O_WRONLY, dir_fd=proc), "w") as file:
                file.write(text)
        except OSError as error:
            raise Refused(f"a namespace of users: {name}: {error.strerror}") from error


def guard() -> None:
    """Deny system calls for good (seccomp), and every way to more rights."""
    arch, _, socket, clone, denied = CALLS[MACHINE]
    deny, allow, kill, unknown = 0x50000 | 1, 0x7FFF0000, 0x80000000, 0x50000 | 38
    code: list[tuple[int, int, int, int]] = [
        (0x20, 0, 0, 4), (0x15, 1, 0, arch), (0x06, 0, 0, kill),  # the calls of another architecture
        (0x20, 0, 0, 0), (0x35, 0, 1, 0x40000000), (0x06, 0, 0, deny),  # those of x32
        (0x15, 0, 1, 435), (0x06, 0, 0, unknown),  # clone3: its flags cannot be seen; libraries fall back on clone
    ]  # fmt: skip
    for number in (*denied, *DENIED):
        code += [(0x15, 0, 1, number), (0x06, 0, 0, deny)]
    code += [(0x15, 0, 3, socket), (0x20, 0, 0, 16), (0x15, 1, 0, 1), (0x06, 0, 0, deny), (0x20, 0, 0, 0)]
    code += [(0x15, 0, 3, clone), (0x20, 0, 0, 16), (0x45, 0, 1, NEW_USER | NEW_REST), (0x06, 0, 0, deny)]
    code += [(0x06, 0, 0, allow)]
    filters = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in code))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code), ctypes.addressof(filters)))
    for capability in range(64):
        if libc.prctl(24, capability, 0, 0, 0):
            if ctypes.get_errno() != errno.EINVAL:  # that is: this kernel knows no more of them
                raise Refused(f"giving up capability {capability}: {os.strerror(ctypes.get_errno())}")
            break
    prctl(38, 1)
    prctl(22, 2, ctypes.addressof(program))


def limit(job: dict[str, Any], others: int) -> None:
    most = {
        resource.RLIMIT_AS: job["memory"], resource.RLIMIT_NPROC: job["processes"] + others, resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: job["disk"], resource.RLIMIT_NOFILE: 64, resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }  # fmt: skip
    for what, value in most.items():
        resource.setrlimit(what, (value, value))
    resource.setrlimit(resource.RLIMIT_CPU, (job["seconds"], job["seconds"] + 1))


def become(job: dict[str, Any], report: int, failed: int, others: int) -> NoReturn:
    """Be the program, or write to `failed`, which the program does not have, why not."""
    try:
        program(job, report, others)
    except BaseException as error:
        os.write(failed, f"{job['python']}: {error}".encode())
    os._exit(1)


def pipe() -> tuple[int, int]:
    """Of numbers that the program has no use for."""
    reading, writing = os.pipe()
    high = fcntl.fcntl(reading, fcntl.F_DUPFD_CLOEXEC, 10), fcntl.fcntl(writing, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(reading)
    os.close(writing)
    return high


def program(job: dict[str, Any], report: int, others: int) -> NoReturn:
    """Become the program. It has four open files, of which the last is for its report; all others end with `exec`, as
    Python opens them."""
    os.setsid()
    os.chdir("/box")
    os.dup2(report, 3)
    for standard in (0, 1, 2):
        os.dup2(os.open("/dev/null", os.O_RDWR), standard)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores, and its children would
        signal.signal(number, signal.SIG_DFL)
    limit(job, others)
    guard()
    variables = {"PYTHONHASHSEED": "0", "PATH": "/usr/bin:/bin", "HOME": "/box", "LANG": "C.UTF-8", "TZ": "UTC"}
    os.execve(job["python"], [job["python"], "-P", "-s", "-S", "-B", "run.py"], variables)  # noqa: S606


@contextlib.contextmanager
def clock(seconds: float) -> Iterator[None]:
    def over(*_: Any) -> NoReturn:
        raise TimeoutError

    signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)


def init(job: dict[str, Any], proc: int, *, root: bool) -> dict[str, Any]:
    """Process 1 inside. Whatever is left of the program ends with it."""
    prctl(1, signal.SIGKILL)
    os.setsid()
    furnish(job)
    if root:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        prctl(4, 1)  # else its own files in /proc belong to root
        prctl(1, signal.SIGKILL)  # forgotten with the user
        own_users(proc, NOBODY, NOBODY)
    os.close(proc)
    (reading, writing), (becoming, failed) = pipe(), pipe()
    try:
        with clock(job["wall"]):
            if (child := os.fork()) == 0:
                become(job, writing, failed, 1 if root else 2)
            os.close(writing)
            os.close(failed)
            if why := os.read(becoming, 4096):
                return {"refused": why.decode(errors="replace")}
            _, status, used = os.wait4(child, 0)
    except TimeoutError:
        return {"timeout": f"{job['wall']:g} s"}
    os.set_blocking(reading, False)
    try:
        told = os.read(reading, 4096)
    except BlockingIOError:
        told = b""
    spent = used.ru_utime + used.ru_stime >= job["seconds"] - 0.1  # sampled: on a busy machine it may say less
    if os.WIFSIGNALED(status) and (spent or os.WTERMSIG(status) == signal.SIGXCPU):
        return {"timeout": f"{job['seconds']} s of CPU"}
    return {"status": status, "report": told.decode(errors="replace")}


def main() -> dict[str, Any]:
    job, root = json.load(sys.stdin), os.geteuid() == 0
    release = os.uname().release
    kernel = tuple(int(part) for part in release.split("-")[0].split(".")[:2])
    if MACHINE not in CALLS or kernel < (5, 14):
        raise Refused(f"Linux {release} on {MACHINE}; expected 5.14 or newer on x86_64 or aarch64")
    prctl(1, signal.SIGKILL)
    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    if not root:
        own_users(proc, os.getuid(), os.getgid())
    call("namespaces", libc.unshare(NEW_REST))
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        os._exit(0)
    return init(job, proc, root=root)


if __name__ == "__main__":
    try:
        outcome = main()
    except (Refused, OSError) as error:
        outcome = {"refused": str(error)}
    os.write(1, json.dumps(outcome).encode())
    os._exit(0)  # with process 1, the kernel ends all that is left inside
