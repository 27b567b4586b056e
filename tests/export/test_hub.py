"""Uploads to a server on loopback that speaks the hub's own routes: create, look, validate, preupload, LFS, commit."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from gen.card import CardFacts
from gen.core import KEEP, Candidate, Lineage, Sample
from gen.pool import GrownRow, Pool

pytestmark = pytest.mark.process
ROOT = Path(__file__).parents[2]
TOKEN = "hf_secretsecretsecret"
REPO = "me/data"


class Hub(ThreadingHTTPServer):
    """One repository: what is in it, and who asked what."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.repo, self.files, self.blobs, self.asked, self.down = None, {}, {}, [], False
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answer(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def reply(self, value, status=200):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def handle_all(self):
        hub, path = self.server, self.path.partition("?")[0]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        hub.asked.append((self.command, path))
        if path.startswith("/blob/"):  # a signed address: no token
            hub.blobs[path.removeprefix("/blob/")] = body
            return self.reply({})
        if hub.down:
            return self.reply({"error": "Down for maintenance"}, 503)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.reply({"error": "Invalid username or password."}, 401)
        answer = {
            "/api/repos/create": self.create, "/api/validate-yaml": lambda _: {"errors": [], "warnings": []},
            f"/api/datasets/{REPO}": self.info, f"/api/datasets/{REPO}/revision/main": self.info,
            f"/api/datasets/{REPO}/tree/main": self.tree, f"/api/datasets/{REPO}/preupload/main": self.modes,
            f"/datasets/{REPO}.git/info/lfs/objects/batch": self.lfs, f"/api/datasets/{REPO}/commit/main": self.commit,
        }.get(path)  # fmt: skip
        return self.reply(answer(body)) if answer else self.reply({"error": f"no route {path}"}, 404)

    do_GET = do_POST = do_PUT = do_HEAD = handle_all

    def create(self, body):
        self.server.repo = self.server.repo or json.loads(body)
        return {"url": f"{self.server.url}/datasets/{REPO}", "name": REPO}

    def info(self, _):
        siblings = [{"rfilename": name} for name in self.server.files]
        private = self.server.repo["visibility"] == "private"
        return {"id": REPO, "private": private, "sha": "0" * 40, "siblings": siblings, "tags": [], "downloads": 0, "likes": 0}

    def tree(self, _):
        return [{"type": "file", "path": name, "size": len(data), "oid": "0" * 40} for name, data in self.server.files.items()]

    def modes(self, body):
        files = [file["path"] for file in json.loads(body)["files"]]
        return {"files": [{"path": p, "uploadMode": "lfs" if p.endswith("parquet") else "regular", "shouldIgnore": False} for p in files]}

    def lfs(self, body):
        objects = json.loads(body)["objects"]
        return {"transfer": "basic", "objects": [
            {**o, "actions": {"upload": {"href": f"{self.server.url}/blob/{o['oid']}"}}} for o in objects]}

    def commit(self, body):
        for row in map(json.loads, body.splitlines()):
            value = row["value"]
            if row["key"] == "file":
                self.server.files[value["path"]] = base64.b64decode(value["content"])
            elif row["key"] == "lfsFile":
                data = self.server.blobs[value["oid"]]
                assert hashlib.sha256(data).hexdigest() == value["oid"]
                self.server.files[value["path"]] = data
            elif row["key"] == "deletedFile":
                del self.server.files[value["path"]]
        return {"commitUrl": f"{self.server.url}/datasets/{REPO}/commit/1", "commitOid": "1" * 40, "success": True}


@pytest.fixture
def hub():
    with Hub() as hub:
        yield hub
        hub.shutdown()


@pytest.fixture
def export(tmp_path, hub):
    """A run folder, and `gen export` of it in a process of its own: the hub's address is read once by its library."""
    facts = CardFacts("run", 0, [("mine.jsonl", 2, "ab", "mit")], (), [("evolve", "x")], (), (), (), {}, "gen evolve", "",
                      licences=("mit",))  # fmt: skip
    with Pool.open(tmp_path / "run") as pool:
        for i in range(30):
            sample = Sample(f"s{i}", f"Question {i}?", Lineage(f"s{i}"), response=f"{i}{' ann@gmail.com' * (i == 7)}")
            asyncio.run(pool.commit_grown(GrownRow(0, 0, f"{i:03}", sample, (Candidate(sample),), (), 0, ())))
            pool.add_verdicts(1, [(sample.id, KEEP)])
        pool.set_state("card", msgspec.to_builtins(facts))

    def export(*args, token=TOKEN):
        clean = {k: v for k, v in os.environ.items() if k not in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_ENDPOINT")}
        own = {"PYTHONPATH": str(ROOT), "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path / "hf"),
               "HF_HUB_DISABLE_TELEMETRY": "1", **({"HF_TOKEN": token} if token else {})}  # fmt: skip
        command = [sys.executable, "-m", "gen", "export", "run", "--to", f"hub:{REPO}", *args]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=clean | own, timeout=120)
        assert TOKEN not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return export


def test_without_push_nothing_is_asked_of_the_hub(export, hub):
    done = export("--test", "0.2")
    assert done.returncode == 0, done.stderr
    for told in ("train", "test", "README.md", "data/train-00000-of-00001.parquet", "bytes", "licence: mit",
                 "warning: EMAIL in rows: 1, such as s7", "nothing was uploaded; --push does it, to a private repository"):
        assert told in done.stdout
    assert hub.asked == []


def test_a_push_is_private_whole_and_what_a_folder_would_hold(export, hub, tmp_path):
    from datasets import load_dataset

    done = export("--test", "0.2", "--redact", "--push")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"uploaded: {hub.url}/datasets/{REPO}/commit/1" in done.stdout
    assert (hub.repo["visibility"], hub.repo["type"], hub.repo["organization"], hub.repo["name"]) == ("private", "dataset", "me", "data")
    assert sorted(hub.files) == ["README.md", "data/test-00000-of-00001.parquet", "data/train-00000-of-00001.parquet"]
    assert b"# data" in hub.files["README.md"]
    for name, data in hub.files.items():
        (tmp_path / "got" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "got" / name).write_bytes(data)
    loaded = load_dataset(str(tmp_path / "got"), cache_dir=str(tmp_path / "cache"))
    assert set(loaded) == {"train", "test"}
    assert sum(map(len, loaded.values())) == 30
    assert not any(b"ann@gmail.com" in data for data in hub.files.values())
    again = export("--redact", "--push")
    assert again.returncode == 0, again.stderr
    assert sorted(hub.files) == ["README.md", "data/train-00000-of-00001.parquet"]  # what was there before is gone


def test_what_is_warned_of_stops_the_upload_unless_yes(export, hub):
    done = export("--push")
    assert done.returncode == 2
    assert "warning: EMAIL in rows: 1, such as s7" in done.stdout
    assert "nothing was uploaded; mend what is warned of (--redact), or add --yes" in done.stderr
    assert hub.asked == []
    assert export("--push", "--yes").returncode == 0
    assert "README.md" in hub.files


def test_a_repository_that_is_public_is_not_written_to_by_chance(export, hub):
    hub.repo = {"visibility": "public"}
    done = export("--push", "--redact")
    assert done.returncode == 2
    assert "the repository is there and public; add --public" in done.stderr
    assert hub.files == {}
    assert export("--push", "--redact", "--public").returncode == 0
    assert hub.files


def test_who_may_not_write_is_told_what_to_do(export, hub):
    for token in (None, "hf_wrong"):
        done = export("--push", "--redact", token=token)
        assert done.returncode == 2
        assert "HF_TOKEN, or `hf auth login`" in done.stderr
    assert hub.files == {}


def test_a_hub_that_is_down_means_later(export, hub):
    hub.down = True
    assert export("--push", "--redact").returncode == 75
    hub.shutdown()
    hub.server_close()
    done = export("--push", "--redact")
    assert done.returncode == 75
    assert "no answer from the hub" in done.stderr
