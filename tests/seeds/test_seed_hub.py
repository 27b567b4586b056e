"""Names of the hub, read for real from a server on loopback that speaks the routes which `datasets` asks."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gen.errors import InputError
from gen.seeds import read_seeds
from gen.seeds.hub import HubName

ROOT = Path(__file__).parents[2]
REPO, COMMIT = "some/tasks", "a1b2c3d4e5f6" + "0" * 28
CARD = """---
license: cc-by-nc-4.0
configs:
- config_name: default
  data_files:
  - {split: train, path: data/train-*}
  - {split: test, path: data/test-*}
- config_name: chat
  data_files: chat.parquet
---
"""


class Hub(BaseHTTPRequestHandler):
    """One repository, at one commit, from a folder."""

    def log_message(self, *_):
        pass

    def reply(self, data, status=200, **headers):
        data = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def answer(self):
        path, folder = urlsplit(self.path).path, self.server.folder
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append(f"{self.command} {self.path} {body.decode()}")
        if self.headers.get("Authorization") == "Bearer closed":
            return self.reply({}, 403, X_Error_Code="GatedRepo")
        api, files = f"/api/datasets/{REPO}", f"/datasets/{REPO}/resolve/{COMMIT}/"
        if path in (api, f"{api}/revision/main", f"{api}/revision/{COMMIT}"):
            return self.reply({"id": REPO, "sha": COMMIT, "cardData": {"license": "cc-by-nc-4.0"}, "siblings": []})
        if path.startswith(f"{api}/revision/"):
            return self.reply({}, 404, X_Error_Code="RevisionNotFound")
        if path.startswith(f"{api}/tree/{COMMIT}") and (inside := folder / path[len(api) + 47 :]).is_dir():
            return self.reply([self.entry(p) for p in inside.iterdir()])
        if path.startswith(files) and (file := folder / path.removeprefix(files)).is_file():
            return self.file(file.read_bytes())
        kind = "EntryNotFound" if path.startswith((files, f"{api}/tree")) else "RepoNotFound"
        return self.reply({}, 404, X_Error_Code=kind, X_Repo_Commit=COMMIT)

    do_GET = do_HEAD = do_POST = answer

    def file(self, data):
        tag = {"X_Repo_Commit": COMMIT, "ETag": hashlib.sha1(data).hexdigest(), "Accept_Ranges": "bytes"}
        if not (asked := self.headers.get("Range")):
            return self.reply(data, **tag)
        first, last = asked.removeprefix("bytes=").split("-")
        first, last = int(first), min(int(last or len(data) - 1), len(data) - 1)
        return self.reply(data[first : last + 1], 206, Content_Range=f"bytes {first}-{last}/{len(data)}", **tag)

    def entry(self, path):
        name = str(path.relative_to(self.server.folder))
        if path.is_dir():
            return {"type": "directory", "oid": "0" * 40, "size": 0, "path": name}
        return {"type": "file", "oid": hashlib.sha1(path.read_bytes()).hexdigest(), "size": path.stat().st_size, "path": name}


def rows(prefix, count):
    return pa.Table.from_pylist([{"instruction": f"{prefix} {n}", "output": "x" if n % 2 else None} for n in range(count)])


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    (folder / "data").mkdir()
    pq.write_table(rows("a", 200), folder / "data" / "train-00000-of-00002.parquet")
    pq.write_table(rows("b", 100), folder / "data" / "train-00001-of-00002.parquet")
    pq.write_table(rows("c", 3), folder / "data" / "test-00000-of-00001.parquet")
    said = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "So?"}]
    pq.write_table(pa.Table.from_pylist([{"messages": said}, {"messages": []}]), folder / "chat.parquet")
    (folder / "README.md").write_text(CARD)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.folder, server.asked = folder, []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


READ = """
import json, sys, time
from gen.errors import InputError
from gen.seeds import read_against, read_seeds
from gen.seeds.corpus import read_corpus
from gen.segments import Segment, to_sample
for name, options in json.loads(sys.argv[1]):
    try:
        if options.pop("against", False):
            print(json.dumps([s.id for s in read_against([name])]))
            continue
        if options.pop("corpus", False):
            found = read_corpus([name], lambda d, _: [to_sample(d, Segment(0, len(d.text), d.text))], mapping={"response": "instruction"})
            while not found.samples.closed:
                time.sleep(0.01)
            print(json.dumps([[[s.response, s.meta["name"]] for s in found.samples], found.names, found.licences, found.digest]))
            continue
        found = read_seeds([name], **options)
        told = [[s.instruction for s in found.samples], found.names, found.licences, [str(b) for b in found.bad], found.digest]
    except InputError as error:
        told = str(error)
    print(json.dumps(told))
"""


def ask(hub, home, *names, **environment):
    """What a fresh process, for which the server is the hub, reads of each name."""
    asked = [name if isinstance(name, tuple) else (name, {}) for name in names]
    env = {k: v for k, v in os.environ.items() if not k.startswith("HF_")} | {
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", "HF_HOME": str(home), "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run([sys.executable, "-c", READ, json.dumps(asked)], capture_output=True, text=True, cwd=home,
                          env=env, check=False, timeout=100)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.process
def test_datasets_of_a_hub_are_streamed(hub, tmp_path):
    hub.asked.clear()
    chat = (f"{REPO}:chat", {"turn": "all"})
    whole, test, pinned, first, turns, against = ask(
        hub, tmp_path, REPO, f"{REPO}#test", f"hf://datasets/{REPO}@main#test", (REPO, {"limit": 2}), chat,
        (REPO, {"against": True}),
    )  # fmt: skip
    assert whole[0] == [f"a {n}" for n in range(200)] + [f"b {n}" for n in range(100)]
    assert whole[1:4] == [["some/tasks@a1b2c3d4e5f6"], ["cc-by-nc-4.0"], []]
    assert whole[4] == read_seeds([hub.folder]).digest  # a clone of the repository is the same data
    assert test[:2] == [["c 0", "c 1", "c 2"], ["some/tasks@a1b2c3d4e5f6#test"]]
    assert pinned == test
    assert first[0] == ["a 0", "a 1"]
    assert turns[0] == ["Hi", "So?"]
    assert turns[1] == ["some/tasks:chat@a1b2c3d4e5f6"]
    assert turns[3] == ["some/tasks, row 2: turns of no user; user and assistant take turns, user first"]
    assert against == [f"against:tasks:{n}" for n in range(1, 304)]  # of what must not be repeated, every split
    assert not [line for line in hub.asked if line.startswith("POST")]
    assert not list(tmp_path.rglob("*.parquet")), "no data is kept"


@pytest.mark.process
def test_a_dataset_of_a_hub_is_a_corpus(hub, tmp_path):
    test, pinned, train = ask(hub, tmp_path, *((name, {"corpus": True}) for name in (f"{REPO}#test", f"{REPO}@main#test", REPO)))
    assert test[:3] == [[[f"c {n}", f"tasks, row {n + 1}"] for n in range(3)], ["some/tasks@a1b2c3d4e5f6#test"], ["cc-by-nc-4.0"]]
    assert (test[3], len(train[0])) == (pinned[3], 300)
    assert train[3] != test[3]  # told by name and commit, nothing read


@pytest.mark.process
def test_what_a_hub_does_not_have_is_told_with_both_readings(hub, tmp_path):
    taks, revision, split, config = ask(hub, tmp_path, "some/taks", f"{REPO}@v9", f"{REPO}#tset", f"{REPO}:caht")
    assert taks == ("some/taks: no such file or folder is here, and as a dataset of the hub (ORG/NAME[:CONFIG][@REVISION]"
                    "[#SPLIT]) it does not exist, or needs a token; check the spelling, or set HF_TOKEN")
    assert "it has no revision 'v9'; give a branch, tag or commit that exists" in revision
    assert split == "some/tasks#tset: no such split; did you mean 'test'? (allowed: test, train)"
    assert "some/tasks: a dataset of the hub, but it cannot be read (ValueError: BuilderConfig 'caht' not found. Available: ['default', 'chat'])" in config


@pytest.mark.process
def test_a_hub_out_of_reach_and_a_gated_dataset_are_told(hub, tmp_path):
    [gated] = ask(hub, tmp_path, REPO, HF_TOKEN="closed")
    assert "it is gated: accept its terms there, and set HF_TOKEN" in gated
    [offline] = ask(hub, tmp_path, REPO, HF_HUB_OFFLINE="1")
    assert "it cannot be read (OfflineModeIsEnabled: " in offline
    [nobody] = ask(hub, tmp_path, REPO, HF_ENDPOINT="http://127.0.0.1:9")
    assert "it cannot be read (ConnectError: " in nobody
    assert "check name, configuration, split and network" in nobody


@pytest.mark.parametrize(
    ("named", "parts"),
    [
        ("org/name", ("org/name", "", "", "")),
        ("org/na.me-1:conf.x@refs/convert/parquet#test", ("org/na.me-1", "conf.x", "refs/convert/parquet", "test")),
        ("org/name#test", ("org/name", "", "", "test")),
        ("hf://datasets/here/name@main", ("here/name", "", "main", "")),
        ("name", None), ("a/b/c", None), ("/org/name", None), ("org/name.jsonl", None), ("org/name.csv.gz", None),
        ("here/name", None), ("https://x.org/name", None), ("org/na me", None), ("", None),
    ],
)  # fmt: skip
def test_what_has_the_form_of_a_hub_name(tmp_path, monkeypatch, named, parts):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    found = HubName.parse(named)
    assert (found and (found.repo, found.config, found.revision, found.split)) == parts


def test_a_path_wins_over_a_hub_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gen.seeds.origin.hub_dataset", lambda name, every: pytest.fail(f"asked the hub for {name}"))
    (tmp_path / "org" / "name").mkdir(parents=True)
    (tmp_path / "org" / "name" / "a.jsonl").write_text('{"instruction": "here"}\n')
    assert read_seeds(["org/name"]).samples[0].instruction == "here"
    with pytest.raises(InputError, match=r"org/name@main: no such file; .*hf://datasets/ before it where a folder ORG"):
        read_seeds(["org/name@main"])
