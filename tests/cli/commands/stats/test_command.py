"""``cloudpub stats``: numbers that are the managers', drawings that fit, and a page that is complete in itself."""

from __future__ import annotations

import html
import http.server
import json
import random
import re
import shutil
import statistics
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from cloudpub_models import Database, Function, Managers
from cloudpub_models.cli.commands.stats.histogram import histogram
from cloudpub_models.platform.durations import Durations

Run = Callable[..., Result]

NOW = datetime.now(UTC)
# Inside a bucket, so that no test depends on the minute in which it runs.
HOUR = NOW.replace(minute=30, second=0, microsecond=0) - timedelta(hours=2)
HOSTILE = "</title><script>document.title='taken'</script><img src=x onerror=alert(1)>\"'&\x1b[2J\u202eevil"
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)


@pytest.fixture
def stats_url(request: pytest.FixtureRequest, backend: str, workplace: Path) -> str:
    """A migrated database that commands can open again and again."""
    if backend == "postgresql":
        return str(request.getfixturevalue("shared_postgresql_url"))
    database = Database("sqlite:///stats.db")
    database.migrate()
    database.close()
    return "sqlite:///stats.db"


@pytest.fixture
def world(stats_url: str) -> Iterator[Managers]:
    """The managers of that database."""
    database = Database(stats_url)
    yield Managers(database)
    database.close()


@pytest.fixture
def resize(world: Managers) -> Function:
    """A function with three days of calls, quick and slow ones, failed ones, and some whose duration is not known."""
    function = new_function(world, "resize")
    chance = random.Random(7)
    rows = []
    for number in range(600):
        status = "success" if number % 9 else "timeout"
        duration = None if number % 50 == 3 else int(chance.lognormvariate(5, 1.2))
        at = HOUR - timedelta(minutes=7 * number)
        rows.append({"function_id": function.id, "status": status, "duration_ms": duration, "timestamp": at})
    world.function_invocations.batch_insert(rows)
    return function


def new_function(world: Managers, name: str, email: str = "ada@example.com") -> Function:
    user, _ = world.users.find_or_insert({"email": email, "password_hash": "…"}, ["email"])
    return world.functions.insert({"user_id": user.id, "name": name})


def document(run: Run, url: str, *arguments: str) -> dict[str, Any]:
    result = run("stats", *arguments, "--json", "--database", url)
    assert result.exit_code == 0, result.stderr
    loaded = json.loads(result.stdout)
    assert isinstance(loaded, dict)
    return loaded


@pytest.mark.parametrize(("period", "steps"), [("24h", 24), ("7d", 168), ("30d", 30)])
def test_the_numbers_are_those_of_the_managers(
    run: Run, stats_url: str, world: Managers, resize: Function, period: str, steps: int
) -> None:
    shown = document(run, stats_url, "resize", "--period", period)
    since = datetime.fromisoformat(shown["begin"])
    stats = vars(world.function_invocations.get_function_stats(resize, since))
    assert shown["figures"] == pytest.approx(stats, rel=1e-12)
    ask = world.function_invocations.get_daily_stats if period == "30d" else world.function_invocations.get_hourly_stats
    buckets = ask(resize, steps)
    assert len(shown["series"]) == steps
    assert [step["start"] for step in shown["series"]] == [bucket.start.isoformat() for bucket in buckets]
    for step, bucket in zip(shown["series"], buckets, strict=True):
        assert (step["total"], step["failed"], step["average"]) == (bucket.total, bucket.failed, bucket.average)
    assert sum(bin["invocations"] for bin in shown["histogram"]) < stats["total"]
    assert shown["function"] == {"uuid": str(resize.uuid), "name": "resize", "status": "active"}


def test_percentiles_of_a_step_are_those_of_its_durations(
    run: Run, stats_url: str, world: Managers, resize: Function
) -> None:
    rows = world.function_invocations.find_all({"function_id": resize.id})
    compared = 0
    for step in document(run, stats_url, "resize")["series"]:
        start, end = datetime.fromisoformat(step["start"]), datetime.fromisoformat(step["end"])
        known = [row.duration_ms for row in rows if start <= row.timestamp < end and row.duration_ms is not None]
        if len(known) < 2:
            continue
        quantiles = statistics.quantiles(known, n=100, method="inclusive")
        assert [step[name] for name in ("p50", "p95", "p99")] == pytest.approx([quantiles[at] for at in (49, 94, 98)])
        compared += 1
    assert compared > 15


def test_the_histogram_counts_every_known_duration_once(
    run: Run, stats_url: str, world: Managers, resize: Function
) -> None:
    shown = document(run, stats_url, "resize", "--period", "30d")["histogram"]
    known = [row.duration_ms for row in world.function_invocations.find_all() if row.duration_ms is not None]
    for bin in shown:
        counted = sum(1 for duration in known if bin["begin_ms"] <= duration < bin["end_ms"])
        assert bin["invocations"] == counted
    assert sum(bin["invocations"] for bin in shown) == len(known)
    assert [bin["begin_ms"] for bin in shown[1:]] == [bin["end_ms"] for bin in shown[:-1]]


@pytest.mark.parametrize(
    ("shortest", "longest"), [(0, 0), (5, 5), (90, 110), (1, 60_000), (0, 2**31 - 1), (1000, 1013), (99, 100)]
)
def test_bins_are_few_and_hold_both_ends(shortest: int, longest: int) -> None:
    bins = histogram(Durations({shortest: 2, longest: 3} if shortest != longest else {shortest: 5}))
    assert 1 <= len(bins) <= 32
    assert bins[0].begin_ms <= shortest < bins[0].end_ms
    assert bins[-1].begin_ms <= longest < bins[-1].end_ms
    assert sum(bin.invocations for bin in bins) == 5


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
@pytest.mark.parametrize("period", ["24h", "7d", "30d"])
@pytest.mark.parametrize("backend", ["sqlite"])
def test_the_drawing_fits(
    run: Run, stats_url: str, resize: Function, period: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    result = run("stats", "resize", "--period", period, "--database", stats_url)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(len(line) for line in lines) <= width
    assert "\x1b" not in result.stdout
    assert "Durations" in lines
    assert any(line.startswith("Failures per ") for line in lines)
    assert str(resize.uuid) in result.stdout
    assert result.stderr == f"database: {stats_url}\n"
    if width >= 60:
        bars = [line for line in lines if re.search(r"█ +[\d,]+ +[\d.]+ %$", line)]
        longest = max(bars, key=lambda line: line.count("█"))
        counts = {line: int(re.findall(r"([\d,]+) +[\d.]+ %$", line)[0].replace(",", "")) for line in bars}
        assert counts[longest] == max(counts.values())


@pytest.mark.parametrize("backend", ["sqlite"])
def test_columns_show_how_many_there_were(run: Run, stats_url: str, world: Managers) -> None:
    function = new_function(world, "burst")
    rows = [(1, 10), (3, 40), (5, 20)]
    # Not HOUR: the hour may have turned since this module was imported.
    hour = datetime.now(UTC).replace(minute=30, second=0, microsecond=0) - timedelta(hours=2)
    world.function_invocations.batch_insert(
        {"function_id": function.id, "status": "success", "duration_ms": 5, "timestamp": hour - timedelta(hours=ago)}
        for ago, count in rows
        for _ in range(count)
    )
    shown = run("stats", "burst", "--database", stats_url).stdout
    chart = [line.partition("│")[2] or line.partition("┤")[2] for line in shown.splitlines() if re.search("[│┤]", line)]
    # The last bucket is the current hour; two hours lie between it and ``hour``.
    heights = {ago: sum(line[2 * (21 - ago)] == "█" for line in chart) for ago, _ in rows}
    assert heights == {1: 2, 3: 8, 5: 4}
    assert "no failures" in shown


@pytest.mark.parametrize("backend", ["sqlite"])
def test_until_looks_back_from_a_moment(run: Run, stats_url: str, world: Managers) -> None:
    function = new_function(world, "old")
    moment = datetime(2024, 5, 1, 11, 59, 59, tzinfo=UTC)
    world.function_invocations.insert(
        {"function_id": function.id, "status": "success", "duration_ms": 5, "timestamp": moment}
    )
    nothing = run("stats", "old", "--database", stats_url)
    assert "no invocations; the latest before was at 2024-05-01 11:59" in nothing.stdout
    advised = re.search(r"--until (\S+)", nothing.stdout)
    assert advised is not None
    for until in (advised[1], "2024-05-01T11:59:59Z", "2024-05-01T13:59:59+0200"):
        last = document(run, stats_url, "old", "--until", until)["series"][-1]
        assert (last["start"], last["total"]) == ("2024-05-01T11:00:00+00:00", 1), until
    assert document(run, stats_url, "old", "--until", "2024-05-01T11:00")["figures"]["total"] == 0


def test_no_invocations_at_all(run: Run, stats_url: str, world: Managers) -> None:
    new_function(world, "unused")
    result = run("stats", "unused", "--database", stats_url)
    assert result.exit_code == 0
    assert result.stdout.endswith("no invocations, then or before\n")
    shown = document(run, stats_url, "unused")
    assert shown["figures"]["total"] == 0
    assert (shown["histogram"], shown["latest_invocation_at"]) == ([], None)
    run("stats", "unused", "--html", "unused.html", "--database", stats_url)
    assert "No invocations, then or before." in Page("unused.html").text


def test_a_function_is_named_by_uuid_or_by_a_name_of_its_own(run: Run, stats_url: str, world: Managers) -> None:
    first = new_function(world, "resize")
    second = new_function(world, "resize", email="bob@example.com")
    assert document(run, stats_url, str(second.uuid))["function"]["uuid"] == str(second.uuid)
    several = run("stats", "resize", "--database", stats_url)
    assert several.exit_code == 1
    assert several.stdout == ""
    for part in (str(first.uuid), str(second.uuid), "bob@example.com", "give a uuid"):
        assert part in several.stderr
    mistyped = run("stats", "resise", "--database", stats_url)
    assert mistyped.exit_code == 1
    assert "expected a function; got 'resise', which none is called: did you mean 'resize'?" in mistyped.stderr
    unknown = run("stats", "00000000-0000-0000-0000-00000000000f", "--database", stats_url)
    assert (
        "expected a function; got the uuid 00000000-0000-0000-0000-00000000000f, which none here has" in unknown.stderr
    )
    looks_like_one = new_function(world, "0" * 32)
    assert document(run, stats_url, "0" * 32)["function"]["uuid"] == str(looks_like_one.uuid)


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize(
    "arguments",
    [(), ("resize", "--period", "3d"), ("resize", "--until", "soon"), ("resize", "--html", "x.html", "--json")],
    ids=str,
)
def test_wrong_usage(run: Run, stats_url: str, resize: Function, workplace: Path, arguments: tuple[str, ...]) -> None:
    assert run("stats", *arguments, "--database", stats_url).exit_code == 2
    assert not (workplace / "x.html").exists()


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_page_that_cannot_be_written(run: Run, stats_url: str, resize: Function) -> None:
    result = run("stats", "resize", "--html", "missing/x.html", "--database", stats_url)
    assert result.exit_code == 1
    assert result.stderr.endswith("error: missing/x.html: No such file or directory\n")


def test_the_command_lines_page_shows_what_is_drawn(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Path(__file__).parents[4].joinpath("docs", "COMMAND_LINE.md").read_text(encoding="utf-8")
    shown = re.findall(r"^```\n\$ cloudpub (stats .*)\n((?:.*\n)*?)```$", page, re.MULTILINE)
    assert len(shown) == 1
    arguments, drawn = shown[0]
    assert "cloudpub demo --invocations 5000 --until 2025-06-02T12:00`" in page
    run("demo", "--invocations", "5000", "--until", "2025-06-02T12:00")
    monkeypatch.setenv("COLUMNS", "80")
    result = run(*arguments.split())
    assert [line.rstrip() for line in result.stdout.splitlines()] == drawn.splitlines()


# The page


class Page(HTMLParser):
    """What a browser would find in a page: elements with their attributes, and the text outside of ``<style>``."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text, self.style = "", ""
        self._inside_style = False
        self.source = Path(path).read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._inside_style = tag == "style"

    def handle_data(self, data: str) -> None:
        if self._inside_style:
            self.style += data
        else:
            self.text += data

    def handle_endtag(self, tag: str) -> None:
        self._inside_style = False

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for found, attributes in self.elements if found == tag]


@pytest.fixture
def hostile_page(run: Run, stats_url: str, world: Managers, resize: Function) -> Page:
    """The page of a function whose name and status are markup."""
    world.functions.update_by_id(resize.id, {"name": HOSTILE, "status": "<b onclick=alert(1)>&amp;</b>"})
    result = run("stats", str(resize.uuid), "--period", "7d", "--html", "page.html", "--database", stats_url)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.endswith("\nwrote page.html\n")
    return Page("page.html")


@pytest.mark.parametrize("backend", ["sqlite"])
def test_the_page_refers_to_nothing_and_names_stay_text(hostile_page: Page) -> None:
    tags = {tag for tag, _ in hostile_page.elements}
    assert tags.isdisjoint(
        {"script", "link", "img", "iframe", "object", "embed", "base", "form", "a", "image", "use", "b"}
    )
    for _, attributes in hostile_page.elements:
        assert attributes.keys().isdisjoint({"src", "href", "xlink:href", "style", "srcset", "action", "data"})
        assert not [name for name in attributes if name.startswith("on")]
    assert "url(" not in hostile_page.style
    assert "@import" not in hostile_page.style
    assert not re.search(r"https?://|(?<!:)//\w", hostile_page.source)
    policies = [meta["content"] for meta in hostile_page.named("meta") if "http-equiv" in meta]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]
    assert hostile_page.text.count("<script>document.title='taken'</script><img src=x onerror=alert(1)>\"'&") == 2
    assert "<b onclick=alert(1)>&amp;</b>" in hostile_page.text
    assert "\x1b" not in hostile_page.source
    assert "\u202e" not in hostile_page.source


@pytest.mark.parametrize("backend", ["sqlite"])
def test_the_charts_have_titles_and_hold_every_step(hostile_page: Page) -> None:
    charts = [attributes for attributes in hostile_page.named("svg") if attributes.get("role") == "img"]
    figures = [attributes["id"] for attributes in hostile_page.named("figure")]
    assert figures == ["invocations", "error-rate", "percentiles", "histogram"]
    ids = [attributes["id"] for _, attributes in hostile_page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for chart in charts:
        assert set(chart["aria-labelledby"].split()) <= set(ids)
    hints = [attributes for attributes in hostile_page.named("rect") if attributes["class"] == "hint"]
    assert len(hints) >= 3 * 168 + 5
    assert len(hostile_page.named("tr")) == 1 + 168
    assert {line["class"] for line in hostile_page.named("polyline")} == {"p50", "p95", "p99"}


@pytest.mark.parametrize("backend", ["sqlite"])
def test_what_a_terminal_would_obey_is_taken_out(run: Run, stats_url: str, world: Managers, resize: Function) -> None:
    world.functions.update_by_id(resize.id, {"name": HOSTILE})
    shown = run("stats", str(resize.uuid), "--database", stats_url).stdout
    assert "<script>document.title" in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown


# A real browser

PROBE = """<!doctype html><iframe id="frame" src="/page.html" style="width:WIDTHpx;height:5000px;border:0"></iframe>
<pre id="found"></pre><script>
document.getElementById("frame").onload = event => {
  const page = event.target.contentDocument, root = page.documentElement;
  const box = element => element.getBoundingClientRect();
  const charts = [...page.querySelectorAll("svg.chart")];
  const outside = charts.flatMap(chart => [...chart.querySelectorAll("rect, circle, polyline, text")]
    .filter(part => box(part).right > root.clientWidth + 1 || box(part).left < 0));
  const bars = [...page.querySelectorAll("#invocations rect.successful")].map(bar => box(bar).height);
  const times = charts.map(chart => [...chart.querySelectorAll("text.time")]
    .map(box).filter(label => label.width).sort((one, other) => one.left - other.left));
  document.getElementById("found").textContent = JSON.stringify({
    name: page.querySelector("h1").textContent, title: page.title, scripts: page.scripts.length,
    width: root.clientWidth, needed: root.scrollWidth, charts: charts.map(chart => box(chart).width),
    outside: outside.length, highest: Math.max(...bars),
    fontSize: getComputedStyle(page.querySelector("text")).fontSize,
    touching: times.flatMap(row => row.slice(1).filter((label, number) => label.left < row[number].right)).length,
  });
};
</script>"""


@pytest.mark.skipif(not CHROMIUM, reason="no chromium found: install one to see the page in a real browser")
@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize("width", [360, 1280])
def test_in_a_real_browser(hostile_page: Page, width: int, tmp_path: Path) -> None:
    pages = {"/page.html": hostile_page.source, "/probe.html": PROBE.replace("WIDTH", str(width))}
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200 if self.path in pages else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(pages.get(self.path, "").encode())

        def log_message(self, format: str, *args: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        finished = subprocess.run(
            [
                *(CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
                *(f"--user-data-dir={tmp_path}/chromium", f"--window-size={width + 40},1000"),
                *("--virtual-time-budget=5000", "--dump-dom", f"http://127.0.0.1:{server.server_port}/probe.html"),
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        server.shutdown()
    found = json.loads(html.unescape(re.findall(r'<pre id="found">(.*?)</pre>', finished.stdout)[0]))
    assert found["name"].startswith("</title><script>document.title='taken'</script>")
    assert found["title"].startswith("</title><script>")
    assert found["scripts"] == 0
    assert found["needed"] <= found["width"] == width
    assert len(found["charts"]) == 4
    assert min(found["charts"]) > 200
    assert (found["outside"], found["touching"]) == (0, 0)
    assert 100 < found["highest"] <= 190
    assert found["fontSize"] == "12px"
    assert set(asked) <= {"/probe.html", "/page.html", "/favicon.ico"}
