"""Rendering a prompt ends, and takes no more memory than it should, whatever stands in the file."""

import pytest

from gen.errors import PromptError
from gen.prompts import Prompts
from gen.template import Bounded

HEAD = '---\npaper = "p"\npurpose = "p"\nrole = "judge"\ninputs = ["text"]\n'


def prompt(folder, template, more=""):
    (folder / "x").mkdir(exist_ok=True)
    (folder / "x" / "y.jinja").write_text(f"{HEAD}{more}---\n{template}")
    return Prompts(folder).get("x/y")


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{% for i in range(10**9) %}{{ text }}{% endfor %}", "Range too big"),
        ("{% for i in range(90000) %}{% for j in range(90000) %}{% endfor %}{% endfor %}{{ text }}", "more than 100,000 steps"),
        ("{% for i in range(90000) %}{{ text }}{% endfor %}", "characters come out"),
        ("{{ text * 10**10 }}", "a text or list of more than"),
        ("{{ 10**10 * text }}", "a text or list of more than"),
        ("{{ (2**2000)**2000 }}{{ text }}", "bits"),
        ("{{ '%1000000000d' % 1 }}{{ text }}", "width"),
        ("{{ '%*d' % (10**9, 1) }}{{ text }}", "width"),
        ("{{ '%1000000000d'|format(1) }}{{ text }}", "width"),
        ("{{ '{:>1000000000}'.format(text) }}", "width"),
        ("{{ text|center(10**9) }}", "width"),
        ("{% include 'x/y' %}{{ text }}", "recursion"),
        ("{{ 1/0 }}{{ text }}", "division by zero"),
        ("{{ text.__class__ }}", "unsafe"),
    ],
)
def test_what_would_not_end_is_refused(tmp_path, template, why):
    with pytest.raises(PromptError, match=rf"prompt x/y: cannot be rendered: .*{why}.*; mend the template"):
        prompt(tmp_path, template).render(text="Some text. " * 100)


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}{{ text }}", "recursion"),
        ("{% for a in text %}" * 30 + "{{ text }}" + "{% endfor %}" * 30, "nested blocks"),
        ("{{ " + "9" * 5000 + " }}{{ text }}", "limit"),
        ("{{ text|nofilter }}", "line 1 .*No filter named 'nofilter'"),
    ],
)
def test_what_cannot_be_compiled_names_its_file(tmp_path, template, why):
    with pytest.raises(PromptError, match=rf"x/y.jinja: .*{why}"):
        prompt(tmp_path, template)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ('[reply]\nform = "choice"\n', r"choices = \[\]; the form choice needs some"),
        ('[reply]\nform = "sections"\nsections = ["("]\n', "section '\\('; a section has the name of a tag"),
        ("[sampling]\ntemperature = nan\n", "temperature = nan; allowed: 0 to 2"),
        ("[sampling]\nmax_tokens = -5\n", "max_tokens = -5; allowed: 1 to 131072"),
        (f"changed = {'[' * 3000}\n", "passport is not valid TOML"),
        (f"raw = {'9' * 5000}\n", "passport is not valid TOML"),
    ],
)
def test_passports_that_nothing_could_follow_are_refused(tmp_path, more, why):
    with pytest.raises(PromptError, match=why):
        prompt(tmp_path, "{{ text }}", more)


def test_what_is_usual_renders_as_in_jinja(tmp_path):
    template = """{{ 3 * 4 }} {{ 'ab' * 3 }} {{ 2**10 }} {{ 7 % 3 }} {{ '%s-%d' % (text, 3) }} {{ '%05d'|format(7) }} {{ '%(a)s'|format(a=1) }}
{% for word in text.split() %}{{ loop.index }}/{{ loop.length }}{{ word }}{{ '.' if loop.last else ', ' }}{% else %}none{% endfor %}"""
    [message] = prompt(tmp_path, template).render(text="a b")
    assert message.content == "12 ababab 1024 1 a b-3 00007 1\n1/2a, 2/2b."


def test_each_rendering_has_all_its_steps(tmp_path):
    made = prompt(tmp_path, "{% for i in range(60000) %}{% endfor %}{{ text }}")
    for _ in range(3):
        assert made.render(text="a")[0].content == "a"


PLAIN = ["", "You write.", " a\n\n", "{ a } { % } #}"]


@pytest.mark.parametrize("source", [*PLAIN, "a\rb", "{{ 1 }}", "{% if 1 %}x{% endif %}", "{# n #}y"])
def test_what_is_plain_is_what_comes_out(source):
    environment = Bounded(trim_blocks=True, lstrip_blocks=True)
    environment.begin()
    out = environment.text(environment.from_string(source).generate())
    assert environment.is_plain(source) == (source in PLAIN)
    assert not environment.is_plain(source) or out.strip() == source.strip()
