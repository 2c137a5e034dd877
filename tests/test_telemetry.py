"""Spans, as OpenTelemetry's own exporter gets them: their names, attributes, parents and times."""

import sys
import time

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from cloudpub_models import Database, errors
from cloudpub_models.telemetry import instrument

SECRET = "s3cr3t-value"
# Longer than what the digits of an id or a time could have in them by chance.
SECRET_NUMBER = 471147114711


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter):
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider
    provider.shutdown()


@pytest.fixture
def instrumented(database, provider, backend):
    stop = instrument(database, provider)
    yield database
    stop()


def test_a_query_has_the_attributes_of_the_convention(instrumented, managers, exporter, backend):
    managers.functions.find_all({"name": "resize"}, select=["id", "name"])
    (span,) = exporter.get_finished_spans()
    assert span.name == "SELECT functions"
    assert span.kind is SpanKind.CLIENT
    assert span.status.status_code is StatusCode.UNSET
    assert span.instrumentation_scope.name == "cloudpub_models"
    placeholder = "%s" if backend == "postgresql" else "?"
    assert dict(span.attributes) == {
        "db.system.name": backend,
        **_where(instrumented, backend),
        "db.operation.name": "SELECT",
        "db.collection.name": "functions",
        "db.query.summary": "SELECT functions",
        "db.query.text": f"SELECT id, name FROM functions WHERE name = {placeholder}",
        "db.response.returned_rows": 0,
    }


def _where(database, backend):
    if backend == "sqlite":
        return {"db.namespace": ":memory:"}
    answer = database.raw_query_single(
        "SELECT current_database() AS db, host(inet_server_addr()) AS host, inet_server_port() AS port, "
        "current_setting('unix_socket_directories') AS directory"
    )
    by_network = {"server.address": answer["host"], "server.port": answer["port"]}
    return {"db.namespace": answer["db"], **(by_network if answer["host"] else {"server.address": answer["directory"]})}


def test_spans_belong_to_the_one_that_is_current(instrumented, provider, exporter):
    tracer = provider.get_tracer("program")
    with tracer.start_as_current_span("job") as job:
        with instrumented.transaction() as connection:
            connection.execute("SELECT 1")
    *spans, _ = exporter.get_finished_spans()
    assert [span.name for span in spans] == ["BEGIN", "SELECT", "COMMIT"]
    assert {span.parent.span_id for span in spans} == {job.get_span_context().span_id}
    assert [span.attributes["db.operation.name"] for span in spans] == ["BEGIN", "SELECT", "COMMIT"]


def test_a_span_lasts_as_long_as_its_statement(instrumented, exporter):
    events = []
    stop = instrumented.on_query(events.append)
    before = time.time_ns()
    instrumented.ping()
    stop()
    (span,) = exporter.get_finished_spans()
    assert before - 10_000_000 <= span.start_time < span.end_time <= time.time_ns()
    assert (span.end_time - span.start_time) / 1e9 == pytest.approx(events[0].duration, abs=1e-6)


def test_a_failed_statement_has_the_codes_of_its_error(instrumented, managers, exporter, backend):
    managers.users.insert({"email": "ada@example.com", "password_hash": SECRET})
    with pytest.raises(errors.UniqueViolationError):
        managers.users.insert({"email": "ada@example.com", "password_hash": SECRET})
    _, span = exporter.get_finished_spans()
    code = "23505" if backend == "postgresql" else "2067"
    assert span.attributes["db.response.status_code"] == code
    assert span.attributes["error.type"] == code
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "UniqueViolationError"
    assert "db.response.returned_rows" not in span.attributes


def test_no_value_is_in_a_span(instrumented, managers, exporter):
    managers.users.insert({"email": "ada@example.com", "password_hash": SECRET})
    managers.users.batch_insert([{"email": "grace@example.com", "password_hash": SECRET}])
    instrumented.raw_query_all(f"SELECT '{SECRET}' AS a, {SECRET_NUMBER} AS b")
    instrumented.raw_query_all("SELECT @a AS a", {"a": SECRET})
    with pytest.raises(errors.InvalidQueryError):
        instrumented.raw_query_all(f"SELECT '{SECRET}' FROM nowhere")
    spans = exporter.get_finished_spans()
    assert len(spans) >= 5
    texts = [span.to_json() for span in spans]
    for secret in (SECRET, str(SECRET_NUMBER), "@example"):
        assert [text for text in texts if secret in text] == []
    assert any('"SELECT ? AS a, ? AS b"' in text for text in texts)


def test_streams_joins_and_batches_are_summed_up(instrumented, managers, exporter, backend):
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": SECRET})
    managers.functions.batch_insert([{"user_id": ada.id, "name": str(n)} for n in range(3)])
    assert len(list(managers.functions.iterate(chunk_size=2))) == 3
    query = managers.functions.query("f").join("users u", "u.id", "f.user_id").select("f.name", "u.email")
    managers.functions.execute_query(query)
    names = [span.name for span in exporter.get_finished_spans()]
    batch = "COPY functions" if backend == "postgresql" else "INSERT functions"
    assert names == ["INSERT users", "BEGIN", batch, "COMMIT", "SELECT functions", "SELECT functions users"]
    stream, joined = exporter.get_finished_spans()[-2:]
    assert stream.attributes["db.response.returned_rows"] == 3
    assert "db.collection.name" not in joined.attributes


def test_the_address_is_that_of_the_url(provider, exporter, monkeypatch):
    from cloudpub_models.telemetry import _database_attributes

    described = _database_attributes(Database("postgresql://ada:secret@db.example.com:6432/cloud"))
    assert described == {
        "db.system.name": "postgresql",
        "db.namespace": "cloud",
        "server.address": "db.example.com",
        "server.port": 6432,
    }
    plain = _database_attributes(Database("postgresql://ada@one,two/cloud?password=secret"))
    assert plain == {"db.system.name": "postgresql", "db.namespace": "cloud", "server.address": "one,two"}


def test_it_ends_when_it_is_told_to(database, provider, exporter):
    stop = instrument(database, provider)
    database.ping()
    stop()
    database.ping()
    assert len(exporter.get_finished_spans()) == 1


def test_without_opentelemetry_it_says_what_to_install(database, monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(errors.ConfigurationError, match=r"pip install cloudpub-models\[otel\]"):
        instrument(database)
