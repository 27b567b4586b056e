"""The tables of `pool.db`, the longer questions to them, and how a pool of an earlier version becomes one of this."""

from __future__ import annotations

from typing import TypeAlias

VERSION = 3
Due: TypeAlias = tuple[int, str, str, int]
"""A conversation that an heir begins: its round and call, the call of the one before, and the place of the heir."""
REPORTED = {"journal": "replies", "grown": "conversations", "verdict": "verdicts"}
"""Tables whose rows are never deleted, and what they are called."""
COUNTS = """
CREATE TABLE tally (
  stage INTEGER NOT NULL, gate_run INTEGER NOT NULL, round INTEGER NOT NULL, operation TEXT NOT NULL,
  ending INTEGER NOT NULL, "by" TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY (stage, gate_run, round, operation, ending, "by", reason)) WITHOUT ROWID;
CREATE TABLE due (
  stage INTEGER NOT NULL, round INTEGER NOT NULL, call TEXT NOT NULL, parent TEXT NOT NULL, heir INTEGER NOT NULL,
  PRIMARY KEY (stage, round, call)) WITHOUT ROWID;
"""
"""`tally`: see `gen.tally`. `due`: conversations that are not held yet, whose seed is an heir that is committed."""
SCHEMA = f"""
CREATE TABLE text (hash BLOB PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE state (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE journal (
  key TEXT PRIMARY KEY, kind TEXT NOT NULL DEFAULT 'completion', engine TEXT NOT NULL,
  request BLOB, payload BLOB NOT NULL);
CREATE TABLE grown (
  n INTEGER PRIMARY KEY, stage INTEGER NOT NULL, round INTEGER NOT NULL, call TEXT NOT NULL, seed_id TEXT NOT NULL,
  body BLOB NOT NULL);
CREATE UNIQUE INDEX grown_place ON grown (stage, round, call);
CREATE INDEX grown_seed ON grown (seed_id, stage, round);
CREATE TABLE sample (
  n INTEGER PRIMARY KEY, stage INTEGER NOT NULL, round INTEGER NOT NULL, call TEXT NOT NULL, place INTEGER NOT NULL,
  id TEXT NOT NULL, root TEXT NOT NULL, operation TEXT NOT NULL, failed_by TEXT, failed_for TEXT, body BLOB NOT NULL);
CREATE UNIQUE INDEX sample_place ON sample (stage, round, call, place);
CREATE UNIQUE INDEX sample_id ON sample (id, stage);
CREATE INDEX sample_family ON sample (root, stage, round, call, place);
CREATE TABLE verdict (
  n INTEGER PRIMARY KEY, gate_run INTEGER NOT NULL, sample INTEGER NOT NULL, keep INTEGER NOT NULL,
  "by" TEXT NOT NULL, reason TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX verdict_sample ON verdict (sample, gate_run, keep);
CREATE TABLE score (n INTEGER PRIMARY KEY, gate_run INTEGER NOT NULL, sample INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX score_sample ON score (sample, gate_run);
{COUNTS}"""
MIGRATIONS = {
    2: f"""{COUNTS}
INSERT INTO tally SELECT stage, 0, round, operation, failed_for IS NULL, coalesce(failed_by, ''),
  coalesce(failed_for, ''), count(*) FROM sample GROUP BY 1, 3, 4, 5, 6, 7;
INSERT INTO tally SELECT s.stage, v.gate_run, s.round, s.operation, 2 + v.keep, v."by", v.reason, count(*)
  FROM verdict v JOIN sample s ON s.n = v.sample
  WHERE s.failed_for IS NULL AND v.n = (SELECT w.n FROM verdict w
    WHERE w.sample = v.sample AND w.gate_run = v.gate_run ORDER BY w.keep, w.n LIMIT 1)
  GROUP BY 1, 2, 3, 4, 5, 6, 7;
INSERT INTO due SELECT * FROM (SELECT g.stage, g.round + 1 AS round,
    CASE heir.key WHEN 0 THEN g.call ELSE printf('%s.%02d%04d', g.call, g.round, heir.key) END AS call,
    g.call AS parent, heir.key FROM grown g, json_each(CAST(g.body AS TEXT), '$.heirs') heir) d
  WHERE NOT EXISTS (SELECT 1 FROM grown h WHERE (h.stage, h.round, h.call) = (d.stage, d.round, d.call));
""",  # noqa: S608
}
"""By the version that it begins with: what makes the next one of it."""
# The verdict that counts: the first one to drop the sample, else the first that keeps it.
KEPT = """SELECT s.round, s.call, s.place, s.body FROM sample s INDEXED BY sample_place
WHERE s.stage = ? AND (s.round, s.call, s.place) > (?, ?, ?) AND s.failed_for IS NULL AND 1 =
  (SELECT v.keep FROM verdict v WHERE v.sample = s.n AND v.gate_run = ? ORDER BY v.keep, v.n LIMIT 1)
ORDER BY s.round, s.call, s.place LIMIT ?"""
ENDS = """SELECT s.round, s.call, s.operation, s.failed_for IS NULL AND coalesce((SELECT v.keep FROM verdict v
  WHERE v.sample = s.n AND v.gate_run = ? ORDER BY v.keep, v.n LIMIT 1), 0) FROM sample s
WHERE s.stage = ? AND (s.round, s.call) >= (?, ?) AND (s.round, s.call) < (?, ?) ORDER BY s.round, s.call, s.place"""
GROWN_AFTER = "WHERE stage = ? AND (round, call) > (?, ?) ORDER BY round, call LIMIT ?"
SAMPLE = """SELECT n, stage, round, operation, failed_for IS NULL FROM sample
WHERE id = ? AND stage = coalesce(?, stage) ORDER BY stage DESC LIMIT 1"""
AWAITED = """SELECT round, call, parent, heir FROM due WHERE stage = ? AND round <= ? ORDER BY round, call"""
GAPS = """SELECT before, call FROM (SELECT call, lag(call, 1, ?) OVER (ORDER BY call) AS before FROM grown
  WHERE stage = ? AND round = 0 AND call > ?) WHERE CAST(call AS INTEGER) > CAST(before AS INTEGER) + 1"""
IDS = """SELECT id FROM sample WHERE id >= ? AND id < ? UNION
SELECT seed_id FROM grown WHERE seed_id >= ? AND seed_id < ? ORDER BY 1 LIMIT 9"""
