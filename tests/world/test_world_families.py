"""Each family against a table written by hand: what its text means, which answers are right, which wrong."""

import pytest

from gen.world import check, families, parse, solve

TABLE = {
    "pick": ("Which word in this list belongs to the fruits: cat, plum, saw?", "", ["plum", "Plum", " plum. "], ["cat", "plum, cat", "", "plums"]),
    "filter": ("Write only the tools from the list below.", "- saw\n- tea\n- axe", ["saw, axe", "Saw, axe."], ["axe, saw", "saw", "saw axe", "saw, axe, tea"]),
    "tally": ("How many trees are in this list: oak, red, elm?", "", ["2", "2."], ["two", "1", "3", "22"]),
    "name": ("Name two metals that are not in this list: iron, gold.", "", ["silver, copper", "brass, tin", "Zinc, nickel."],
             ["iron, tin", "tin", "tin, tin", "tin, oak", "tin, zinc, brass"]),
    "place": ("What is the last word in this list: red, blue, oak?", "", ["oak"], ["blue", "red", "last"]),
    "reverse": ("Write this list in reverse order: cow, tea, red.", "", ["red, tea, cow"], ["cow, tea, red", "red, cow, tea", "red,tea,cow"]),
    "member": ("Is the word milk in this list: tea, milk?", "", ["Yes", "yes", "Yes."], ["No", "milk", "Yes No"]),
    "capitals": ("Write this list in capital letters: cow, tea.", "", ["COW, TEA"], ["cow, tea", "COW, tea", "COW", "COW,TEA"]),
    "double": ("Write each word of this list twice: cow, tea.", "", ["cow, cow, tea, tea"], ["cow, tea, cow, tea", "cow, tea", "cow, cow, tea"]),
    "count": ("Count from 3 to 6.", "", ["3, 4, 5, 6"], ["3, 4, 5", "4, 5", "3, 4, 6", "3 4 5 6", "6, 5, 4, 3"]),
    "extreme": ("What is the smallest number in this list: 9, 12, 10?", "", ["9", "9."], ["10", "12", "nine"]),
    "sort": ("Sort the numbers in this list from small to large: 9, 12, 2.", "", ["2, 9, 12"], ["12, 2, 9", "12, 9, 2", "2, 9"]),
    "who": ("Who has the saw in this list: Tom has the saw, Mia has the axe?", "", ["Tom", "tom."], ["Mia", "saw", "Tom has the saw"]),
    "what": ("What does Mia have in the table below?", "| row | item |\n| 1 | Tom has the saw |\n| 2 | Mia has the axe |", ["axe"], ["saw", "Mia", "the axe and"]),
    "odd": ("Which word in this list does not fit the others: cat, plum, dog?", "", ["plum", "Plum."], ["cat", "cat, dog", "fruits"]),
    "replace": ("Replace all tools in this list with the word tea: saw, oak, axe.", "", ["tea, oak, tea"], ["tea, oak", "tea, oak, axe", "oak, tea, tea"]),
    "group": ("Write the kinds in this list, each with a colon and its words, and semicolons between: saw, oak, axe.", "",
              ["tools: saw, axe; trees: oak", "trees: oak; tools: saw, axe"], ["tools: axe, saw; trees: oak", "tools: saw, oak; trees: axe", "saw, axe; oak"]),
    "after": ("Which word comes right after tea in this list: tea, oak, axe?", "", ["oak"], ["axe", "tea", "tea, oak"]),
    "bullets": ("Make bullet points with dashes out of this list: tea, oak.", "", ["- tea\n- oak", "- Tea\n- Oak"], ["tea, oak", "- tea, oak", "- oak\n- tea"]),
    "json": ("Write this list as a JSON list: tea, oak.", "", ['["tea", "oak"]'], ["[tea, oak]", '["tea, oak"]', '["oak", "tea"]', '["tea", "oak"']),
    "rows": ("Write this list as a table with the columns row and item: tea, oak.", "", ["| row | item |\n| 1 | tea |\n| 2 | oak |"],
             ["| row | item |\n| 1 | oak |\n| 2 | tea |", "| 1 | tea |\n| 2 | oak |", "| row | item |\n| 2 | tea |\n| 3 | oak |"]),
    "sentence": ("Write a sentence about Tom with the words of this list in their order: tea, oak, axe.", "",
                 ["Tom has the tea, the oak and the axe", "Tom likes the tea, the oak and the axe."],
                 ["Tom has the oak, the tea and the axe", "Mia has the tea, the oak and the axe", "Tom has the tea and the oak", "Tom eats the tea, the oak and the axe"]),
    "larger": ("Write only the numbers in this list that are larger than 7: 9, 7, 12.", "", ["9, 12"], ["9, 7, 12", "12", "12, 9", "7"]),
    "total": ("Add the numbers in this list: 9, 7, 12.", "", ["28", "28."], ["27", "9 + 7 + 12", "16"]),
    "box": ("What is in the box after the steps in this list: put in the tea, put in the oak, take out the tea?", "", ["oak"], ["tea", "tea, oak", "oak, tea"]),
    "program": ("What is x after the program in this list: x = 4, x = x + 3, x = x - 1?", "", ["6"], ["7", "4", "8", "x = 6"]),
}


def test_the_table_covers_every_family_and_there_are_at_least_twenty():
    assert set(TABLE) == set(families())
    assert len(TABLE) >= 20


@pytest.mark.parametrize("family", TABLE)
def test_right_answers_are_accepted_and_wrong_ones_are_not(family):
    instruction, data, right, wrong = TABLE[family]
    task = parse(instruction, data)
    assert task is not None
    assert task.family == family
    assert solve(task) in right
    assert [a for a in right if not check(task, a)] == []
    assert [a for a in wrong if check(task, a)] == []


CLAUSES = [
    ("Write the whole answer in capital letters, without any small letters.", ["PLUM, FIG"], ["plum, fig", "Plum, Fig"]),
    ("Put the whole answer between two quotation marks.", ['"plum, fig"'], ["plum, fig", '"plum", "fig"', '"plum, fig']),
    ("Begin and end the answer with a round bracket.", ["(plum, fig)"], ["plum, fig", "(plum), (fig)"]),
    ("Put the words My answer and a colon in front.", ["My answer: plum, fig", "my answer: plum, fig."], ["plum, fig", "Answer: plum, fig"]),
    ("Write the word done behind the answer, without a comma.", ["plum, fig done"], ["plum, fig", "plum, fig, done", "done plum, fig"]),
    ("Separate the parts of the answer with a semicolon.", ["plum; fig"], ["plum, fig", "plum;fig"]),
    ("Separate the parts of the answer with a dash.", ["plum - fig"], ["plum, fig", "plum-fig"]),
    ("Then put the parts of the answer in reverse order.", ["fig, plum"], ["plum, fig"]),
    ("After that, repeat the whole answer one more time.", ["plum, fig, plum, fig"], ["plum, fig", "plum, plum, fig, fig"]),
    ("Then add the word cow as one more part at the end.", ["plum, fig, cow"], ["plum, fig", "cow, plum, fig"]),
    ("After that, put the word cow before the first part.", ["cow, plum, fig"], ["plum, fig, cow"]),
    ("Also say on a new line how many items the list has.", ["plum, fig\n3", "plum, fig\n3."], ["plum, fig", "plum, fig, 3", "3\nplum, fig"]),
    ("On a new line, say which item of the list comes first.", ["plum, fig\nplum"], ["plum, fig\nfig"]),
    ("Also write the last item of the list on a new line.", ["plum, fig\ncat", "plum, fig\nCat"], ["plum, fig\nplum"]),
    ("On a new line, name the kind of the first item of the list.", ["plum, fig\nfruits"], ["plum, fig\nanimals", "plum, fig\nfruit"]),
    ("Put the whole answer in one pair of round brackets. Write the word done behind the answer, without a comma.",
     ["(plum, fig) done", "(plum, fig done)"], ["plum, fig done", "(plum, fig)", "done (plum, fig)"]),
]


@pytest.mark.parametrize(("clause", "right", "wrong"), CLAUSES)
def test_each_clause_changes_the_right_answers_as_it_says(clause, right, wrong):
    text = f"On Monday the class of Tom plays a word game. Which words in this list are fruits: plum, pear, cat? {clause}"
    task = parse(text)
    assert task is not None
    assert [a for a in right if not check(task, a.replace("fig", "pear").replace("FIG", "PEAR"))] == []
    assert [a for a in wrong if check(task, a.replace("fig", "pear"))] == []


STRANGE = [
    ("", ""), ("Hello!", ""), ("Count from 3 to 6", ""), ("Count from 6 to 3.", ""), ("Count from 3 to 99.", ""),
    ("Count from 3 to 6. Count from 3 to 6.", ""), ("Which word in this list belongs to the fruits: plum, pear?", ""),
    ("Which word in this list belongs to the planets: plum, cat?", ""), ("Which word in this list belongs to the fruits: plum, sofa?", ""),
    ("Write only the tools from the list below.", ""), ("Write only the tools from the list below.", "saw, axe"),
    ("Write only the tools from the list below.", "| row | item |\n| 1 | saw |\n| 2 | tea |"),
    ("Write only the tools from this list: saw, tea.", "- saw\n- tea"), ("Write only the tools from this list: saw, saw.", ""),
    ("Count from 3 to 6. Tom plans a small party at the lake.", ""), ("Put the words My answer and a colon in front.", ""),
    ("Then write all parts of the answer a second time. Count from 3 to 6.", ""), ("计数 {items} 🌍", "- 猫"), ("Count from {items}.", ""),
    ("Who has the saw in this list: Tom has the saw, Mia has the saw?", ""), ("Write each word of this list twice: saw, 3.", ""),
]


@pytest.mark.parametrize(("instruction", "data"), STRANGE)
def test_text_that_is_not_of_the_world_is_not_taken_for_it(instruction, data):
    assert parse(instruction, data) is None
