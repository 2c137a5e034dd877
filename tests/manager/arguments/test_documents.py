"""``operators.at``: what it finds in JSON documents, the SQL of both databases, and what it refuses."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from cloudpub_models import Managers, any_of, none_of, operators
from cloudpub_models.errors import InvalidQueryError, InvalidValueError
from cloudpub_models.sql.operators import MISSING, Operator

DOCUMENTS: dict[str, Any] = {
    "dart": {"language": {"name": "dart", "version": 3}, "tags": ["web", "ünï"], "fast": True},
    "go": {"language": {"name": "Go", "version": 1.5}, "tags": [], "fast": False, "a.b": 1, "0": "zero"},
    "none": {"language": {"name": None, "version": "3"}, "tags": [["x", {"y": 1}]]},
    "odd": {"language": "dart", "tags": "web", "fast": "true", "'": 1, "%s": 2, "$": 3, "🙂": 4},
    "list": [{"name": "first"}, 5],
    "text": "just text",
    "no": None,
}


@pytest.fixture
def functions(managers: Managers) -> Any:
    user = managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
    for name, document in DOCUMENTS.items():
        managers.functions.insert({"user_id": user.id, "name": name, "analysis_result": document})
    return managers.functions


def found(functions: Any, path: Any, value: Any) -> set[str]:
    return {function.name for function in functions.find_all({"analysis_result": operators.at(path, value)})}


FOUND: dict[str, tuple[Any, Any, set[str]]] = {
    "text": ("language.name", "dart", {"dart"}),
    "its case counts": ("language.name", "go", set()),
    "another text": ("language.name", operators.ne("dart"), {"go"}),
    "like": ("language.name", operators.like("d_r%"), {"dart"}),
    "ilike": ("language.name", operators.ilike("G%"), {"go"}),
    "not like": ("language.name", operators.not_like("d%"), {"go"}),
    "texts after": ("language.name", operators.gt("Go"), {"dart"}),
    "texts between": ("language.name", operators.between("D", "H"), {"go"}),
    "a number": ("language.version", 3, {"dart"}),
    "as a float": ("language.version", 3.0, {"dart"}),
    "as a decimal": ("language.version", Decimal("1.50"), {"go"}),
    "text is no number": ("language.version", "3", {"none"}),
    "numbers after": ("language.version", operators.gt(1), {"dart", "go"}),
    "numbers between": ("language.version", operators.between(1.5, 2), {"go"}),
    "other than a number": ("language.version", operators.ne(3), {"go", "none"}),
    "a boolean": ("fast", True, {"dart"}),
    "one is no boolean": ("fast", 1, set()),
    "other than a boolean": ("fast", operators.ne(True), {"go", "odd"}),
    "of several kinds": ("language.version", [3, "3", True], {"dart", "none"}),
    "none of several": ("language.version", operators.not_in([3, "4"]), {"go", "none"}),
    "of none": ("language.version", [], set()),
    "none of none": ("language.version", operators.not_in([]), set(DOCUMENTS)),
    "null or missing": ("language.name", None, {"none", "odd", "list", "text", "no"}),
    "the same, said otherwise": ("language.name", operators.is_null(), {"none", "odd", "list", "text", "no"}),
    "null, missing or a value": ("language.name", ["Go", None], {"go", "none", "odd", "list", "text", "no"}),
    "none of null": ("language.name", operators.not_in([None, "x"]), {"dart", "go"}),
    "there": ("language.name", operators.is_not_null(), {"dart", "go"}),
    "missing": ("language.name", MISSING, {"odd", "list", "text", "no"}),
    "a position": ("tags.0", "web", {"dart"}),
    "the last position": (["tags", -1], "ünï", {"dart"}),
    "beyond the list": (["tags", -3], MISSING, set(DOCUMENTS)),
    "a list of lists": ("tags.0.1.y", 1, {"none"}),
    "a text has no positions": ("tags.0", operators.is_not_null(), {"dart", "none"}),
    "a list at the top": ("0.name", "first", {"list"}),
    "a key of digits": (["0"], "zero", {"go"}),
    "a key with a dot": (["a.b"], 1, {"go"}),
    "a quote": ("'", 1, {"odd"}),
    "a placeholder": ("%s", 2, {"odd"}),
    "a dollar": ("$", 3, {"odd"}),
    "beyond ASCII": ("🙂", 4, {"odd"}),
    "an object is no text": ("language", operators.like("%"), {"odd"}),
    "an object is there": ("language", operators.ne("dart"), {"dart", "go", "none"}),
}


@pytest.mark.parametrize("name", FOUND)
def test_found(functions: Any, name: str) -> None:
    path, value, expected = FOUND[name]
    assert found(functions, path, value) == expected


PATH = {"sqlite": '$."language"."name"', "postgresql": 'strict $."language"."name"'}
AT = "jsonb_path_query_first(analysis_result, CAST(%s AS jsonpath), '{}', TRUE)"
SQL: dict[str, tuple[Any, dict[str, str], list[Any]]] = {
    "equal": (
        "dart",
        {
            "sqlite": "(json_type(analysis_result, ?) = 'text' AND json_extract(analysis_result, ?) = ?)",
            "postgresql": f"{AT} = to_jsonb(CAST(%s AS text))",
        },
        ["dart"],
    ),
    "missing": (
        MISSING,
        {"sqlite": "json_type(analysis_result, ?) IS NULL", "postgresql": f"{AT} IS NULL"},
        [],
    ),
    "after": (
        operators.gt(5),
        {
            "sqlite": (
                "(json_type(analysis_result, ?) IN ('integer', 'real') AND json_extract(analysis_result, ?) > ?)"
            ),
            "postgresql": f"(jsonb_typeof({AT}) = 'number' AND {AT} > to_jsonb(CAST(%s AS numeric)))",
        },
        [5],
    ),
    "like": (
        operators.like("d%"),
        {
            "sqlite": (
                "(json_type(analysis_result, ?) = 'text' AND cloudpub_like(?, json_extract(analysis_result, ?)))"
            ),
            "postgresql": f"(jsonb_typeof({AT}) = 'string' AND ({AT} #>> '{{}}') LIKE %s)",
        },
        ["d%"],
    ),
}


@pytest.mark.parametrize("name", SQL)
def test_sql(functions: Any, statements: Any, backend: str, name: str) -> None:
    value, sql, values = SQL[name]
    functions.count({"analysis_result": operators.at("language.name", value)})
    ((text, sent),) = statements
    assert text == f"SELECT COUNT(*) AS count FROM functions WHERE {sql[backend]}"
    assert [value for value in sent if value != PATH[backend]] == values
    assert len(sent) - len(values) == text.count("(analysis_result, ")


def test_paths_and_values_are_no_part_of_a_statement(functions: Any) -> None:
    statements = functions._statements.present
    functions.count({"analysis_result": operators.at("language.name", "dart")})
    before = len(statements.counts)
    functions.count({"analysis_result": operators.at(["x", 5, "'; DROP TABLE users; --"], "y")})
    assert len(statements.counts) == before


def test_beside_other_conditions_and_across_relations(functions: Any) -> None:
    fast = {"analysis_result": operators.at("fast", True)}
    assert functions.count({**fast, "name": "go"}) == 0
    assert functions.count(any_of(fast, {"name": "go"})) == 2
    assert functions.count(none_of(fast)) == len(DOCUMENTS) - 1
    users = Managers(functions.database).users
    assert users.count({"functions.analysis_result": operators.at("fast", True), "functions.name": "dart"}) == 1
    assert users.count({"functions.analysis_result": operators.at("fast", True), "functions.name": "go"}) == 0
    assert [row.name for row in functions.update({"status": "x"}, fast)] == ["dart"]
    assert functions.delete({"analysis_result": operators.at("language", "dart")}) == 1


@pytest.mark.parametrize("backend", ["postgresql"])
def test_an_index_on_the_expression_serves_equality(functions: Any, statements: Any) -> None:
    functions.count({"analysis_result": operators.at("language.name", "dart")})
    sent = statements.sql[0].replace("%s", "@path", 1).replace("%s", "@name")
    with functions.database.transaction() as connection:
        connection.execute(
            "CREATE INDEX functions_language ON functions "
            """(jsonb_path_query_first(analysis_result, 'strict $."language"."name"', '{}', TRUE))"""
        )
        connection.execute("SET LOCAL enable_seqscan = off")
        plan = connection.execute(f"EXPLAIN {sent}", {"path": PATH["postgresql"], "name": "dart"})
    assert "functions_language" in str(plan)


REFUSED: dict[str, tuple[type[Exception], Any, str]] = {
    "no path": (InvalidQueryError, lambda: operators.at("", 1), "quotation marks"),
    "no steps": (InvalidQueryError, lambda: operators.at([], 1), "a path of 1 to 50"),
    "an empty step": (InvalidQueryError, lambda: operators.at("a..b", 1), "got ''"),
    "no text": (InvalidQueryError, lambda: operators.at(5, 1), "expected a path"),  # type: ignore[arg-type]
    "a boolean": (InvalidQueryError, lambda: operators.at(["a", True], 1), "got True"),
    "None": (InvalidQueryError, lambda: operators.at(["a", None], 1), "got None"),  # type: ignore[list-item]
    "a quotation mark": (InvalidQueryError, lambda: operators.at('a"b', 1), "quotation marks"),
    "a backslash": (InvalidQueryError, lambda: operators.at("a\\b", 1), "backslashes"),
    "a NUL": (InvalidQueryError, lambda: operators.at("a\0b", 1), "control characters"),
    "a surrogate": (InvalidQueryError, lambda: operators.at("a\ud800", 1), "control characters"),
    "too long": (InvalidQueryError, lambda: operators.at("a." * 50 + "a", 1), "a path of 1 to 50"),
    "too far": (InvalidQueryError, lambda: operators.at(["a", 2**31], 1), "positions"),
    "too far back": (InvalidQueryError, lambda: operators.at(["a", -(2**31)], 1), "positions"),
    "at in at": (InvalidQueryError, lambda: operators.at("a", operators.at("b", 1)), "one longer path"),
    "at among members": (InvalidQueryError, lambda: operators.at("a", [operators.at("b", 1)]), "expected a value"),
    "an object": (InvalidValueError, lambda: operators.at("a", {"b": 1}), "give a longer path"),
    "a moment": (InvalidValueError, lambda: operators.at("a", datetime.now(UTC)), "convert it"),
    "NaN": (InvalidValueError, lambda: operators.at("a", float("nan")), "a finite number"),
    "infinite": (InvalidValueError, lambda: operators.at("a", Decimal("Infinity")), "a finite number"),
    "a decimal that is too large": (InvalidValueError, lambda: operators.at("a", Decimal("1e400")), "64 bits"),
    "too large": (InvalidValueError, lambda: operators.at("a", 2**64), "64 bits"),
    "no order": (InvalidValueError, lambda: operators.at("a", operators.gt(True)), "which have no order"),
    "of two kinds": (InvalidValueError, lambda: operators.at("a", operators.between(1, "b")), "number and text"),
    "another operator": (InvalidQueryError, lambda: operators.at("a", Operator("IS TRUE")), "got IS TRUE"),
    "a pattern that is none": (InvalidValueError, lambda: operators.at("a", Operator("LIKE", (5,))), "a pattern"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(functions: Any, statements: Any, name: str) -> None:
    error, make, message = REFUSED[name]
    with pytest.raises(error, match=message):
        functions.count({"analysis_result": make()})
    assert statements == []


def test_it_is_for_documents_in_where(functions: Any, statements: Any) -> None:
    with pytest.raises(InvalidQueryError, match="JSON documents for at"):
        functions.count({"name": operators.at("a", 1)})
    with pytest.raises(InvalidValueError):
        functions.count({"name": MISSING})
    with pytest.raises(InvalidQueryError, match="which the managers' where takes"):
        functions.query().where("analysis_result", operators.at("a", 1))
    assert statements == []
