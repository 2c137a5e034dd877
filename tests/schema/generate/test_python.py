"""Calls are broken into lines as a formatter would, and whatever names tables have, the text is Python."""

from __future__ import annotations

import ast

import pytest

from cloudpub_models.schema.generate.python import Call, Line, attribute_name, body, class_name, literal, words

LONG = [literal("x" * 50), literal("y" * 50)]


def test_a_call_is_broken_where_it_does_not_fit() -> None:
    assert Call("f", ["1", Call("g", ["2"])], {"a": "3"}).text() == "f(1, g(2), a=3)"
    assert Call("migrator.add_index", LONG).text(2).splitlines() == [
        "migrator.add_index(",
        f"            {LONG[0]},",
        f"            {LONG[1]},",
        "        )",
    ]
    assert Call("migrator.add_index", [LONG[0], literal("z" * 30)]).text(2).splitlines() == [
        "migrator.add_index(",
        f'            {LONG[0]}, "{"z" * 30}"',
        "        )",
    ]


@pytest.mark.parametrize(
    "value", ["a", "it's", 'say "a"', "both ' and \"", "back\\slash", "line\nbreak", 1, None, {"a": 1}]
)
def test_a_literal_is_the_value(value: object) -> None:
    assert ast.literal_eval(literal(value)) == value


@pytest.mark.parametrize("table", ["api_keys", "class", "1st", "täglich", "a b", "select"])
def test_names_are_names(table: str) -> None:
    taken: set[str] = set()
    for _ in range(3):
        name = class_name(table, taken)
        assert name.isidentifier()
        assert name not in taken
        taken.add(name)
    assert attribute_name(table, {"select"}).isidentifier()
    assert attribute_name("select", {"select"}) == "select_"


def test_operations_that_follow_each_other_are_run_by_one_call() -> None:
    first, second = Line(Call("migrator.a", ["1"])), Line(Call("migrator.b"), is_kept_back=True, why="Loses something.")
    other = Line(Call("db.create_tables", ["[A]"]), is_operation=False)
    assert body([first, second, other, second], "Do it.") == (
        '    """Do it."""\n'
        "    migrator.migrate(\n"
        "        migrator.a(1),\n"
        "        # Loses something.\n"
        "        # migrator.b(),\n"
        "    )\n"
        "    db.create_tables([A])\n"
        "    # Loses something.\n"
        "    # migrator.migrate(\n"
        "    #     migrator.b(),\n"
        "    # )\n"
    )


def test_no_text_ends_a_docstring() -> None:
    assert words('a """\n b\\') == "a ''' b/"
