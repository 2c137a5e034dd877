"""Each step has the code that takes it back."""

from __future__ import annotations

from cloudpub_models.entity.fields import ServerDefault
from cloudpub_models.schema.generate.steps import Step, Steps, sql_literal
from cloudpub_models.schema.generate.structure import (
    CheckState,
    ColumnState,
    IndexState,
    ReferenceState,
    TableState,
    UniqueState,
)


def code(step: Step) -> tuple[list[str], list[str]]:
    return [line.call.text(0, 1000) for line in step.up], [line.call.text(0, 1000) for line in step.down]


def test_rules() -> None:
    make = Steps()
    assert code(make.add_unique("t", UniqueState("t_a_key", ("a",), is_index=True))) == (
        ['migrator.add_index("t", ("a",), unique=True, name="t_a_key")'],
        ['migrator.drop_index("t", "t_a_key")'],
    )
    assert code(make.drop_unique("t", UniqueState("t_a_key", ("a", "b"), is_index=False))) == (
        ['migrator.drop_constraint("t", "t_a_key")'],
        ['migrator.add_constraint("t", "t_a_key", SQL(\'UNIQUE ("a", "b")\'))'],
    )
    assert code(make.add_check("t", CheckState("t_a_check", "a LIKE 'x%'")))[0] == [
        'migrator.add_constraint("t", "t_a_check", '
        "Check(_words(db, postgresql=\"a LIKE 'x%%'\", sqlite=\"a LIKE 'x%'\")))"
    ]
    assert code(make.create_index("t", IndexState("low", None, True, "a > 1", "LOWER(a)"))) == (
        ['migrator.sql(\'CREATE UNIQUE INDEX "low" ON "t" (LOWER(a)) WHERE a > 1\')'],
        ['migrator.drop_index("t", "low")'],
    )
    both = ReferenceState("t_a_b_fkey", ("a", "b"), "u", ("x", "y"), "CASCADE", "NO ACTION")
    assert code(make.add_reference("t", both)) == (
        [
            'migrator.add_constraint("t", "t_a_b_fkey", '
            'SQL(\'FOREIGN KEY ("a", "b") REFERENCES "u" ("x", "y") ON DELETE CASCADE\'))'
        ],
        ['migrator.drop_constraint("t", "t_a_b_fkey")'],
    )


def test_defaults() -> None:
    make, bare = Steps(), ColumnState("a", "text", True, True, None)
    given = {
        "'x'": "\"'x'\"",
        "lower('X')": "\"lower('X')\"",
        "7": "7",
        "TRUE": 'ServerDefault(postgresql="TRUE", sqlite="TRUE")',
    }
    for text, shown in given.items():
        sqlite = f"({text})" if text.startswith("lower") else text
        column = ColumnState("a", "text", True, True, ServerDefault(text, sqlite))
        assert code(make.change_default("t", bare, column)) == (
            [f'migrator.add_column_default("t", "a", {shown})'],
            ['migrator.drop_column_default("t", "a")'],
        )


def test_null_is_filled_where_a_value_is_known() -> None:
    make, column = Steps(), ColumnState("a", "text", True, False, None)
    assert code(make.require_values("t", column, "it's"))[0] == [
        "migrator.sql('UPDATE \"t\" SET \"a\" = \\'it\\'\\'s\\' WHERE \"a\" IS NULL')",
        'migrator.add_not_null("t", "a")',
    ]
    (line,) = make.require_values("t", column, None).up
    assert line.why == "Fails where a row has NULL: fill those in first."


def test_a_dropped_column_comes_back_with_a_value_for_the_rows() -> None:
    step = Steps().drop_column("t", ColumnState("a", "integer", True, False, None), 0, False)
    assert code(step)[1] == ['migrator.add_column("t", "a", IntegerField(default=0))']
    step = Steps().drop_column("t", ColumnState("a", "integer", True, False, None), None, True)
    assert code(step)[1] == ['migrator.add_column("t", "a", IntegerField(), allow_not_null=True)']
    assert step.down[0].why == "What it held is gone, and nothing suits all rows: this takes an empty table."


def test_a_class_of_a_table_has_all_that_a_model_can_say() -> None:
    make = Steps()
    columns = {
        "one": ColumnState("one", "integer", True, False, None),
        "class": ColumnState("class", "varchar(9)", True, False, None),
        "at": ColumnState("at", "time", True, False, ServerDefault("now()", "CURRENT_TIME")),
    }
    table = TableState(
        "odd table",
        columns,
        ("one", "class"),
        uniques=(UniqueState("u", ("class", "at"), is_index=False), UniqueState("v", ("at",), is_index=False)),
        checks=(CheckState("odd_check", "one > 0"),),
        options=("without_rowid",),
    )
    step = make.create_table(table)
    assert make.classes["OddTable"] == (
        "class OddTable(Entity):\n"
        "    one = IntegerField()\n"
        '    class_ = CharField(max_length=9, column_name="class")\n'
        "    at = TimeField(unique=True)\n"
        "\n"
        "    class Meta:\n"
        '        table_name = "odd table"\n'
        '        primary_key = CompositeKey("one", "class_")\n'
        '        indexes = ((("class_", "at"), True),)\n'
        '        constraints = (Check("one > 0", "odd_check"),)\n'
        "        without_rowid = True\n"
    )
    assert code(step)[0][1].startswith('migrator.add_column_default("odd table", "at", ServerDefault(')


def test_literals() -> None:
    assert [sql_literal(value) for value in (1, 0.5, False, "a", [1])] == ["1", "0.5", "FALSE", "'a'", "'[1]'"]
