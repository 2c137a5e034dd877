"""The example that loads recorded invocations: on a few lines whose statistics one sees, and on a whole trace."""

from __future__ import annotations

import csv
import importlib.util
import os
import statistics
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from cloudpub_models import Database, Managers
from tests.recordings import AZURE, KINDS, recording

CHECKOUT = Path(__file__).resolve().parents[2]
SCRIPT = CHECKOUT / "examples" / "azure_functions_trace.py"

HEADER = "app,func,end_timestamp,duration\n"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """The example, imported."""
    specification = importlib.util.spec_from_file_location("azure_functions_trace", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    # Dataclasses look their module up by its name.
    sys.modules["azure_functions_trace"] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Two applications with a function of one name, and a hundred calls of another."""
    path = tmp_path / "trace.csv"
    calls = "".join(f"app1,busy,{1000 + number},{number / 1000}\n" for number in range(1, 101))
    path.write_text(f"{HEADER}app1,same,10,0.5\napp2,same,20.25,1.5\napp2,same,20.25,1.5\n{calls}")
    return path


@pytest.fixture
def trace_url(request: pytest.FixtureRequest, backend: str, tmp_path: Path) -> str:
    """A database of either kind that stays when it is closed."""
    return (
        f"sqlite:///{tmp_path}/trace.db"
        if backend == "sqlite"
        else str(request.getfixturevalue("empty_postgresql_url"))
    )


def test_loads_and_prints(example: ModuleType, trace: Path, trace_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert example.main([str(trace), "--database", trace_url]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["function", "calls", "average", "ms", "p50", "ms", "p95", "ms", "max", "ms"]
    assert printed[1].split() == ["busy", "100", "50.5", "50", "95", "100"]
    assert [line.split() for line in printed[2:4]] == [
        ["same", "2", "1,500.0", "1,500", "1,500", "1,500"],
        ["same", "1", "500.0", "500", "500", "500"],
    ]
    assert printed[4] == "103 new invocations; 103 of 3 functions in all"


def test_running_again_adds_nothing_and_a_longer_file_its_new_lines(
    example: ModuleType, trace: Path, trace_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert example.main([str(trace), "--database", trace_url]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "0 new invocations; 103 of 3 functions in all"
    with trace.open("a") as file:
        file.write("app3,new,30,0\n")
    assert example.main([str(trace), "--database", trace_url]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 new invocations; 104 of 4 functions in all"


def test_the_moment_of_a_call_is_its_start(example: ModuleType, trace: Path, database: Database) -> None:
    managers = Managers(database)
    assert example.load(managers, trace) == 103
    first = managers.function_invocations.find_one(order_by="timestamp")
    assert first is not None
    assert first.timestamp.isoformat() == "2021-01-31T00:00:09.500000+00:00"
    assert managers.users.count() == 2


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("app1,busy,1", "line 3: expected 4 fields, got 3"),
        ("app1,busy,x,1", "line 3: end_timestamp: expected a number of seconds"),
        ("app1,busy,1,-1", "line 3: duration: expected a number of seconds"),
        ("app1,busy,1,nan", "line 3: duration: expected a number of seconds"),
        ("app1,busy,inf,1", "line 3: end_timestamp: expected a number of seconds"),
        (",busy,1,1", "line 3: expected a hash of at most 200 characters for app"),
        (f"app1,{'x' * 300},1,1", "line 3: expected a hash of at most 200 characters for func"),
        ("app1,bu\0sy,1,1", "line 3: expected a hash"),
    ],
    ids=lambda value: value[:24],
)
def test_a_bad_line_is_named_and_nothing_is_kept(
    example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, problem: str
) -> None:
    path, url = tmp_path / "bad.csv", f"sqlite:///{tmp_path}/trace.db"
    path.write_text(f"{HEADER}app1,busy,1,1\n{line}\n")
    assert example.main([str(path), "--database", url]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert problem in captured.err
    assert captured.err.count("\n") == 1
    database = Database(url)
    assert Managers(database).users.count() == 0
    database.close()


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "app,func,end_timestamp\n"], ids=repr)
def test_another_header_is_refused(
    example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    path = tmp_path / "other.csv"
    path.write_text(text)
    assert example.main([str(path)]) == 1
    assert "line 1: expected the header" in capsys.readouterr().err


def test_a_file_that_is_no_text_or_not_there(
    example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "binary.csv"
    path.write_bytes(HEADER.encode() + b"\xff\xfe\x00")
    assert example.main([str(path)]) == 1
    assert "expected CSV in UTF-8" in capsys.readouterr().err
    assert example.main([str(tmp_path / "missing.csv")]) == 1
    assert "missing.csv" in capsys.readouterr().err


def test_a_header_alone_is_an_empty_trace(
    example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "empty.csv"
    path.write_text(HEADER)
    assert example.main([str(path)]) == 0
    assert "0 new invocations; 0 of 0 functions" in capsys.readouterr().out


def test_an_unreachable_database_is_one_line(
    example: ModuleType, trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert example.main([str(trace), "--database", "postgresql://ada:s3cret@127.0.0.1:1/x"]) == 1
    captured = capsys.readouterr()
    assert "s3cret" not in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_trace(
    example: ModuleType, trace_url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, kind: str
) -> None:
    path = tmp_path / AZURE
    path.write_bytes(recording(AZURE, kind))
    recorded: dict[str, list[int]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            recorded.setdefault(row["func"], []).append(round(float(row["duration"]) * 1000))
    total = sum(map(len, recorded.values()))
    for new in (total, 0):
        assert example.main([str(path), "--database", trace_url]) == 0
        printed = capsys.readouterr().out.splitlines()
        assert printed[-1] == f"{new} new invocations; {total} of {len(recorded)} functions in all"
    lines = {line.split()[0]: line.split()[1:] for line in printed[1:-1]}
    for function, durations in recorded.items():
        calls, average, p50, p95, longest = [float(text.replace(",", "")) for text in lines[function[:12]]]
        assert (calls, longest) == (len(durations), max(durations))
        assert average == pytest.approx(statistics.fmean(durations), abs=0.06)
        ordered = sorted(durations)
        assert p50 == ordered[-(-len(ordered) * 50 // 100) - 1]
        assert p95 == ordered[-(-len(ordered) * 95 // 100) - 1]


def test_as_a_script_it_needs_no_extra(trace: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(CHECKOUT), os.environ.get("PYTHONPATH", "")])}
    blocked = "import sys, runpy; sys.modules['rich'] = sys.modules['typer'] = None; "
    run = f"sys.argv[1:] = [{str(trace)!r}]; runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    result = subprocess.run(
        [sys.executable, "-c", blocked + run], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "103 new invocations" in result.stdout
