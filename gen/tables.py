"""The tables of `pool.db`, and the queries that must find their rows by index (a test explains their plans).

`text` holds long texts by content; all other bodies are JSON with marks in place of them (`gen.texts`).
"""

VERSION = 1
SCHEMA = """
CREATE TABLE text (hash BLOB PRIMARY KEY, body NOT NULL);
CREATE TABLE state (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE journal (
  key TEXT PRIMARY KEY, kind TEXT NOT NULL DEFAULT 'completion', engine TEXT NOT NULL,
  request BLOB, schema TEXT, payload BLOB NOT NULL);
CREATE TABLE grown (
  n INTEGER PRIMARY KEY, stage INTEGER NOT NULL, round INTEGER NOT NULL, call TEXT NOT NULL,
  seed_id TEXT NOT NULL, tokens INTEGER NOT NULL, error TEXT NOT NULL,
  seed BLOB NOT NULL, heirs BLOB NOT NULL, asked BLOB NOT NULL);
CREATE UNIQUE INDEX grown_place ON grown (stage, round, call);
CREATE INDEX grown_seed ON grown (seed_id, stage, round);
CREATE INDEX grown_tokens ON grown (tokens);
CREATE TABLE sample (
  n INTEGER PRIMARY KEY, stage INTEGER NOT NULL, round INTEGER NOT NULL, call TEXT NOT NULL, place INTEGER NOT NULL,
  id TEXT NOT NULL, root TEXT NOT NULL, operation TEXT NOT NULL, failed_by TEXT, failed_for TEXT,
  body BLOB NOT NULL, failure BLOB);
CREATE UNIQUE INDEX sample_place ON sample (stage, round, call, place);
CREATE UNIQUE INDEX sample_id ON sample (id);
CREATE INDEX sample_family ON sample (root, stage, round, call, place);
CREATE TABLE verdict (
  n INTEGER PRIMARY KEY, gate_run INTEGER NOT NULL, sample INTEGER NOT NULL, keep INTEGER NOT NULL,
  "by" TEXT NOT NULL, reason TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX verdict_sample ON verdict (sample, gate_run, keep);
CREATE TABLE score (
  n INTEGER PRIMARY KEY, gate_run INTEGER NOT NULL, sample INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX score_sample ON score (sample, gate_run);
"""
# The verdict that counts: the first one to drop the sample, else the first that keeps it.
KEPT = """SELECT s.stage, s.round, s.call, s.place, s.body FROM sample s INDEXED BY sample_place
WHERE (s.stage, s.round, s.call, s.place) > (?, ?, ?, ?) AND s.failure IS NULL AND 1 =
  (SELECT v.keep FROM verdict v WHERE v.sample = s.n AND v.gate_run = ? ORDER BY v.keep, v.n LIMIT 1)
ORDER BY s.stage, s.round, s.call, s.place LIMIT ?"""
GROWN_AFTER = """SELECT * FROM grown INDEXED BY grown_place
WHERE stage = ? AND (round, call) > (?, ?) ORDER BY round, call LIMIT ?"""
FUNNEL = """SELECT s.round, s.operation, coalesce(s.failed_by, v."by", ''),
  coalesce(s.failed_for, v.reason, 'pending') AS reason, count(*),
  CASE WHEN s.failure IS NULL THEN coalesce(v.keep, 0) ELSE 0 END AS keep
FROM sample s LEFT JOIN verdict v ON s.failure IS NULL AND v.n =
  (SELECT w.n FROM verdict w WHERE w.sample = s.n AND w.gate_run = ? ORDER BY w.keep, w.n LIMIT 1)
WHERE ? IS NULL OR s.stage = ? GROUP BY 1, 2, 3, 4, 6 ORDER BY 1, 2, 6 DESC, 3, 4"""
