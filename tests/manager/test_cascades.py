"""What a deletion would take with it is what it takes."""

from __future__ import annotations

from typing import Any

import peewee
import pytest

from cloudpub_models import ALL_ROWS, Managers, any_of, errors, none_of
from cloudpub_models.manager.cascades import columns_to_follow, rows_gone_with


def fill(managers: Managers) -> Any:
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    grace = managers.users.insert({"email": "grace@example.com", "password_hash": "…"})
    managers.organizations.insert({"name": "analysts", "owner_id": ada.uuid})
    for user in (ada, grace):
        function = managers.functions.insert({"user_id": user.id, "name": "resize"})
        managers.function_deployments.deploy(function, "image", "key")
        managers.function_logs.batch_insert(
            {"function_id": function.id, "level": "info", "message": "…"} for _ in range(5)
        )
    return ada


def counts(managers: Managers) -> dict[str, int]:
    return {model._meta.table_name: managers.for_model(model).count() for model in managers.users.database.models}


@pytest.mark.usefixtures("kept_references")
def test_it_says_what_would_go(managers: Managers) -> None:
    ada = fill(managers)
    preview = managers.users.delete_preview({"id": ada.id})
    assert preview == {"users": 1, "functions": 1, "organizations": 1, "function_deployments": 1, "function_logs": 5}
    before = counts(managers)
    managers.users.delete({"id": ada.id})
    gone = {table: before[table] - after for table, after in counts(managers).items()}
    assert {table: number for table, number in gone.items() if number} == preview


def test_nothing_and_everything(managers: Managers) -> None:
    fill(managers)
    assert managers.users.delete_preview({"id": 99}) == {}
    assert managers.function_logs.delete_preview(ALL_ROWS) == {"function_logs": 10}
    for where in (None, {}, none_of(), any_of({"id": 1}, {})):
        with pytest.raises(errors.UnboundedWriteError, match="say ALL_ROWS for all rows"):
            managers.users.delete_preview(where)


def test_one_statement_for_each_table_that_is_followed(managers: Managers, statements: Any) -> None:
    ada = fill(managers)
    statements.clear()
    managers.functions.delete_preview({"user_id": ada.id})
    read = [sql.partition(" FROM ")[2].split()[0].strip('"') for sql in statements.sql]
    assert sorted(read) == ["function_deployments", "function_invocations", "function_logs", "functions"]


class Node(peewee.Model):
    parent = peewee.ForeignKeyField("self", null=True, on_delete="CASCADE", backref="children")


def test_rows_that_refer_to_each_other(managers: Managers) -> None:
    database = managers.users.database
    with database.bind(), Node.bind_ctx(database.engine):
        Node.drop_table()
        Node.create_table()
        try:
            first = Node.create()
            second = Node.create(parent=first)
            Node.create(parent=second)
            Node.update(parent=second).where(Node.id == first.id).execute()
            assert columns_to_follow(Node) == ["id"]
            assert rows_gone_with(Node, [first], database) == {"node": 2}
        finally:
            Node.drop_table()


def test_a_table_of_several_models_counts_once(managers: Managers) -> None:
    class NamedNode(Node):
        name = peewee.TextField(null=True)

        class Meta:
            table_name = "node"

    class Leaf(peewee.Model):
        node = peewee.ForeignKeyField(NamedNode, on_delete="CASCADE")

    database = managers.users.database
    with database.bind(), Node.bind_ctx(database.engine), NamedNode.bind_ctx(database.engine):
        database.engine.drop_tables([NamedNode, Leaf])
        database.engine.create_tables([NamedNode, Leaf])
        first = NamedNode.create(name="first")
        second = NamedNode.create(parent=first)
        Leaf.create(node=second)
        Leaf.create(node=second)
        rows = {model: [model.get_by_id(first.id)] for model in (Node, NamedNode)}
        try:
            # Whichever model's rows they are, and whichever the leaves refer to.
            for model, roots in rows.items():
                assert rows_gone_with(model, roots, database) == {"node": 1, "leaf": 2}
        finally:
            database.engine.drop_tables([Leaf, NamedNode])
