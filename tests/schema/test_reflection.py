"""Code that pwiz writes with our introspector: it imports as it is, and its models read what stands in the tables."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys

import peewee
import pwiz
import pytest

from cloudpub_models import Database, User
from cloudpub_models.schema import Introspector


def written(database, **options):
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        pwiz.print_models(Introspector.from_database(database), **options)
    return text.getvalue()


def run(code, tmp_path, what):
    file = tmp_path / "written.py"
    file.write_text(f"{code}\n{what}\n")
    command = [sys.executable, "-W", "error", str(file)]
    return subprocess.run(command, check=True, timeout=60, capture_output=True, text=True).stdout


@pytest.fixture
def filled(backend, tmp_path, request):
    # A database in memory is another one for the code.
    url = f"sqlite:///{tmp_path}/filled.db" if backend == "sqlite" else request.getfixturevalue("database_url")
    database = Database(url)
    database.migrate()
    with database.bind():
        User.create(email="ada@example.com", password_hash="x")
    yield database
    database.close()


READ = """
function = Functions.create(user=Users.get(), name="resize", **GIVEN)
deployment = FunctionDeployments.create(function=function, version=1, image_tag="1", s3_key="k", **GIVEN)
function.active_deployment = deployment
assert function.save() == 1
query = Functions.select().join(FunctionDeployments, on=Functions.active_deployment)
print([(found.name, found.active_deployment.image_tag) for found in query], deployment.function.user.email)
print(Functions.active_deployment.on_delete, FunctionDeployments.function.on_delete)
"""


@pytest.mark.parametrize("recorded", [False, True], ids=["", "recorded"])
def test_its_code_imports_and_reads_and_writes(filled, backend, recorded, tmp_path):
    if recorded:
        filled.history.enable()
    code = written(filled)
    assert "# Possible reference cycle" not in code
    assert ("class Changes(BaseModel):" in code) == recorded
    # What SQLite makes of its defaults is nothing that Peewee asks it for.
    given = '{"uuid": "5f0c6a0e-8b1e-4a38-9d5b-0d2c8f6a7b11"}' if backend == "sqlite" else "{}"
    assert run(code, tmp_path, f"GIVEN = {given}\n{READ}") == "[('resize', '1')] ada@example.com\nSET NULL CASCADE\n"


@pytest.mark.parametrize("table", ["functions", "function_deployments", "function_logs"])
def test_tables_that_are_asked_for_come_with_all_that_they_refer_to(filled, table, tmp_path):
    code = written(filled, tables=[table])
    assert "class Organizations" not in code
    both = "print(Functions.active_deployment.rel_model.__name__, FunctionDeployments.function.rel_model.__name__)"
    assert run(code, tmp_path, both) == "FunctionDeployments Functions\n"


def test_models_are_made_as_by_peewees_own(filled):
    models = Introspector.from_database(filled).generate_models()
    functions, deployments = models["functions"], models["function_deployments"]
    assert functions.active_deployment.rel_model is deployments
    assert deployments.function.rel_model is functions
    assert [user.email for user in models["users"].select()] == ["ada@example.com"]


def test_circles_of_any_shape(tmp_path):
    database = peewee.SqliteDatabase(":memory:")
    references = {"A": "BC", "B": "C", "C": "AC", "D": "D", "E": "AD", "F": "G", "G": "F"}
    for table, others in references.items():
        columns = ", ".join(f"to_{other} INTEGER REFERENCES {other} (id)" for other in others)
        database.execute_sql(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, {columns})")
    code = written(database)
    assert code.count("DeferredForeignKey(") == 2
    fields = [f"{table}.to_{other.lower()}" for table, others in references.items() for other in others]
    what = f"print(*[field.rel_model.__name__ for field in ({', '.join(fields)})])"
    assert run(code, tmp_path, what).split() == list("".join(references.values()))
