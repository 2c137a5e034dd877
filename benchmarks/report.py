"""What came out, as Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import libraries
from benchmarks.data import SCALES
from benchmarks.databases import Dialect
from benchmarks.operations import MEGABYTES_WANTED, OPERATIONS, Operation
from benchmarks.process_start import TARGET_MEGABYTES, TARGET_MILLISECONDS
from benchmarks.threads import SHARE_WANTED

ADVANTAGE_WANTED = 1.7
BEGIN, END = "<!-- results -->", "<!-- end of results -->"
TITLES = {
    "raw": "raw driver",
    "ours": "ours",
    "ours-sessionless": "ours, no session",
    "ours-prepared": "ours, prepared",
    "peewee": "Peewee",
    "sqlalchemy": "SQLAlchemy",
    "django": "Django",
    "pony": "Pony",
}
DATABASES: dict[Dialect, str] = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}

Results = dict[str, Any]


def show_in(results: Results, page: Path) -> None:
    """Put the report into a page, between its two markers."""
    head, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"expected {BEGIN} and {END} in {page}; one is missing: add them where the table belongs")
    page.write_text(f"{head}{begin}\n{markdown(results)}{end}{tail}", encoding="utf-8")


def markdown(results: Results) -> str:
    """Return the whole report."""
    parts = [f"{_circumstances(results)}\n"]
    for database in databases_of(results):
        table = _table(results, database) if libraries_of(results) else ""
        parts.append(f"\n### {DATABASES[database]}\n\n{table}")
        if memory := _memory(results, database):
            parts.append(f"\n{memory}")
        if database == "postgresql" and results.get("threads"):
            parts.append(f"\n{_threads(results['threads'])}")
    if results["process_start"]:
        parts.append(f"\n### Process start\n\n{_process_start(results)}")
    for error in results["errors"]:
        parts.append(f"\nFAILED: {error['database']} {error['library']} {error['operation']}: {error['error']}\n")
    return "".join(parts)


def databases_of(results: Results) -> list[Dialect]:
    """Return the databases that were measured."""
    return [name for name in DATABASES if name in results["versions"]]


def libraries_of(results: Results) -> list[str]:
    """Return the libraries that were measured, in a fixed order."""
    measured = {one["library"] for one in results["measurements"]}
    return [name for name in libraries.NAMES if name in measured]


def title_of(operation: Operation, results: Results) -> str:
    """Return an operation's title with the numbers of the run's scale."""
    return operation.title.format(scale=SCALES[results["scale"]])


def find(results: Results, database: str, library: str, operation: str) -> dict[str, Any] | None:
    """Return one measurement, or ``None`` where there is none."""
    for one in results["measurements"]:
        if (one["database"], one["library"], one["operation"]) == (database, library, operation):
            found: dict[str, Any] = one
            return found
    return None


def _circumstances(results: Results) -> str:
    versions = results["versions"]
    shown = [f"Python {versions['python']}", f"psycopg2 {versions['psycopg2']}", f"orjson {versions['orjson']}"]
    shown += [versions[database] for database in databases_of(results)]
    shown += [f"{TITLES[name]} {versions[name]}" for name in libraries.PEERS if name in versions]
    pinned = "" if all(results["pinned"].values()) else " The server could not be pinned to one core."
    clock = ", in processor time" if results.get("clock") == "processor" else ""
    return (
        f"{results['date']}; {', '.join(shown)}. {results['rounds']} rounds, "
        f"synchronous_commit={results['synchronous_commit']}{clock}.{pinned}"
    )


def _table(results: Results, database: Dialect) -> str:
    names = libraries_of(results)
    peers = [name for name in names if name in libraries.PEERS]
    header = ["operation", "raw driver", *(TITLES[name] for name in names)]
    if "ours" in names:
        header[3:3] = ["target"]
        if peers:
            header.append("best peer ÷ ours")
    lines = [header, ["---"] + ["---:"] * (len(header) - 1)]
    for operation in OPERATIONS:
        found = {name: find(results, database, name, operation.name) for name in names}
        if not any(found.values()):
            continue
        cells = [title_of(operation, results), _control(found)]
        for name in names:
            cells.append(_ratio(found[name]))
            if name == "ours":
                cells.append(_target(operation.targets[database], found[name]))
            elif name == "ours-prepared" and database in operation.prepared_targets:
                cells[-1] += f" ({_target(operation.prepared_targets[database], found[name])})"
        if "ours" in names and peers:
            cells.append(_advantage(found, peers))
        lines.append(cells)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _control(found: dict[str, dict[str, Any] | None]) -> str:
    for measurement in found.values():
        if measurement is not None:
            return _duration(measurement["control_seconds"])
    return ""


def _duration(seconds: float) -> str:
    if seconds < 0.001:
        return f"{seconds * 1e6:.1f} µs"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _ratio(measurement: dict[str, Any] | None) -> str:
    if measurement is None:
        return "–"
    return f"{measurement['ratio']:.2f}" if measurement["valid"] else f"void ({measurement['ratio']:.2f})"


def _target(target: float, measurement: dict[str, Any] | None) -> str:
    if measurement is None:
        return f"≤ {target}"
    return f"≤ {target} {_mark(measurement['ratio'] <= target, certain=measurement['valid'])}"


def _advantage(found: dict[str, dict[str, Any] | None], peers: list[str]) -> str:
    ours = found["ours"]
    measured = [measurement for name in peers if (measurement := found[name]) is not None]
    if ours is None or not measured:
        return "–"
    best = min(measured, key=lambda measurement: measurement["ratio"])
    advantage = best["ratio"] / ours["ratio"]
    return f"{advantage:.1f} {_mark(advantage >= ADVANTAGE_WANTED, certain=ours['valid'] and best['valid'])}"


def _memory(results: Results, database: Dialect) -> str:
    lines = []
    for operation in OPERATIONS:
        shown = [
            _megabytes(one, MEGABYTES_WANTED[database])
            for one in results["memory"]
            if (one["database"], one["operation"]) == (database, operation.name) and one["extra_megabytes"] is not None
        ]
        if shown:
            lines.append(f"Memory beyond what the process holds already, {title_of(operation, results)}: ")
            lines.append(f"{', '.join(shown)}.\n")
    return "".join(lines)


def _megabytes(one: dict[str, Any], wanted: float) -> str:
    shown = f"{TITLES[one['library']]} {one['extra_megabytes']:.1f} MB"
    if one["library"] in libraries.PEERS:
        return shown
    return f"{shown} (≤ {wanted:g} {_mark(one['extra_megabytes'] <= wanted)})"


def _threads(found: dict[str, Any]) -> str:
    mark = _mark(found["share"] >= SHARE_WANTED, certain=found["valid"])
    return (
        f"Lookups from {found['threads']} threads at once, each borrowing its connection: "
        f"{found['ours']:,.0f} a second, {found['share']:.2f} of the {found['control']:,.0f} that psycopg2's "
        f"ThreadedConnectionPool gives the bare driver (≥ {SHARE_WANTED:g} {mark}).\n"
    )


def _process_start(results: Results) -> str:
    lines = ["| import | ms over the bare interpreter | MB over it |\n| --- | ---: | ---: |\n"]
    for name, cost in results["process_start"].items():
        time, memory = f"{cost['milliseconds']:.0f}", f"{cost['megabytes']:.1f}"
        if name == "ours":
            time += f" (≤ {TARGET_MILLISECONDS} {_mark(cost['milliseconds'] <= TARGET_MILLISECONDS)})"
            memory += f" (≤ {TARGET_MEGABYTES} {_mark(cost['megabytes'] <= TARGET_MEGABYTES)})"
        lines.append(f"| {TITLES[name]} | {time} | {memory} |\n")
    return "".join(lines)


def _mark(met: bool, *, certain: bool = True) -> str:
    if not certain:
        return "?"
    return "✓" if met else "✗"
