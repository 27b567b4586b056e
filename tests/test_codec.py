import sqlite3

import pytest

from gen import codec
from gen.errors import PoolError

LONG = 'He said: "#' + "word, " * 40 + '\\"'


@pytest.fixture
def db():
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE text (hash BLOB PRIMARY KEY, body BLOB NOT NULL)")
    yield db
    db.close()


def asker(db):
    return lambda query, *values: db.execute(query, values).fetchall()


@pytest.mark.parametrize("value", [
    {"#": 1, "#=a": "#", "#0123456789abcdef0123456789abcdef": "#0123456789abcdef0123456789abcdef"},
    {"a": ["#=", '"#', '\\"#x"', "\\", '#"', "#\\", "#:", ""], "b": {"c": LONG, "d": [LONG, LONG[:-1] + "#"]}},
    {"a": [None, True, 2.5, [], {}, "#" + LONG, "#" * 200]},
])  # fmt: skip
def test_what_begins_with_the_mark_comes_back_as_it_was(db, value):
    assert codec.unpack(dict, codec.packer(db)(value), asker(db)) == value


def test_several_rows_ask_for_their_texts_together(db):
    values = [{"a": f"{n} {LONG}", "b": LONG} for n in range(1200)]
    rows, asked = [codec.packer(db)(value) for value in values], []

    def ask(query, *given):
        asked.append(len(given))
        return asker(db)(query, *given)

    assert codec.unpack_all(dict, rows, ask) == values
    assert asked == [500, 500, 201]


@pytest.mark.parametrize("row", [b'{"a":"#xyz"}', b'{"a":"#0123456789abcdef0123456789abcdef"}', b'{"a":"#'])
def test_a_mark_that_names_no_text_is_damage(db, row):
    with pytest.raises(PoolError, match="the file is damaged"):
        codec.unpack(dict, row, asker(db))
