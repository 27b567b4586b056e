"""Results noted line by line outlive a kill."""

from gen.micro import ledger


def test_a_line_that_a_kill_has_cut_is_taken_out_and_whole_files_stay_as_they_are(tmp_path):
    file = tmp_path / "rows.jsonl"
    assert ledger.rows(file) == []
    assert not file.exists()
    ledger.note(file, {"key": "a", "right": 0.5})
    ledger.note(file, {"key": "b"})
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"key": "c", "ri')
    assert ledger.rows(file) == [{"key": "a", "right": 0.5}, {"key": "b"}]
    assert file.read_bytes() == whole
