"""Measurements as one HTML page: figures, four charts and the numbers behind them.

The page is complete in itself. It runs no script and refers to nothing, and its policy forbids a browser to load
anything; what comes from the database stands in it as text only.
"""

from __future__ import annotations

from importlib import resources
from xml.etree.ElementTree import Element

from cloudpub_models.cli.commands.stats.axes import (
    Tick,
    bin_text,
    duration_scale,
    duration_text,
    linear_scale,
    moment_text,
    share_text,
    time_ticks,
)
from cloudpub_models.cli.commands.stats.charts import Chart, Series, bar_chart, line_chart
from cloudpub_models.cli.commands.stats.measurements import Measurements, Period, Point
from cloudpub_models.cli.shown.markup import element, written
from cloudpub_models.platform.durations import PERCENTILES

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_SERIES_HEAD = ("UTC", "invocations", "failed", "error rate", "average", "p50", "p95", "p99")
# More labels than this would touch each other in a histogram; a phone has room for half of them.
_MOST_LABELS = 8


def page_of(measured: Measurements) -> str:
    """Return the page as text.

    Args:
        measured: what it shows.
    """
    style = resources.files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    name = measured.function.name
    head = element(
        "head",
        {},
        element("meta", {"charset": "utf-8"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": _POLICY}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("meta", {"name": "color-scheme", "content": "light dark"}),
        element("title", {}, f"{name}: the last {measured.period.in_words}"),
        element("style", {}, style),
    )
    body = element("body", {}, element("main", {}, _header(measured), *_content(measured), _footer(measured)))
    return f"<!doctype html>\n{written(element('html', {'lang': 'en'}, head, body))}\n"


def _header(measured: Measurements) -> Element:
    function = measured.function
    begin, end = [
        element("time", {"datetime": moment.isoformat()}, moment_text(moment))
        for moment in (measured.begin, measured.end)
    ]
    # An isolated direction, so that a name cannot reorder what stands beside it.
    return element(
        "header",
        {},
        element("h1", {}, element("bdi", {}, function.name)),
        element(
            "p",
            {"class": "identity"},
            element("code", {}, str(function.uuid)),
            " ",
            element("span", {"class": "status"}, function.status),
        ),
        element("p", {}, f"The last {measured.period.in_words}: ", begin, " to ", end, " UTC"),
    )


def _content(measured: Measurements) -> list[Element]:
    if not measured.figures.total:
        before = (
            f"; the latest before was at {moment_text(measured.latest)} UTC" if measured.latest else ", then or before"
        )
        return [element("p", {"class": "nothing"}, f"No invocations{before}.")]
    charts = element(
        "section",
        {"class": "charts", "aria-label": "Charts"},
        *[chart for chart in _charts(measured) if chart is not None],
    )
    return [_figures(measured), charts, _numbers(measured)]


def _footer(measured: Measurements) -> Element:
    step = "day" if measured.period is Period.MONTH else "hour"
    return element(
        "footer",
        {},
        f"One step is one {step} of UTC. A status of “success” is a success, any other a failure. Durations are those "
        "of invocations whose duration is known; percentiles are interpolated. Made by cloudpub stats.",
    )


def _figures(measured: Measurements) -> Element:
    figures = measured.figures
    cells = [
        ("Invocations", f"{figures.total:,}"),
        ("Failed", f"{figures.failed:,}"),
        ("Success rate", share_text(figures.success_rate)),
        ("Average", duration_text(figures.average)),
        ("p50", duration_text(figures.p50)),
        ("p95", duration_text(figures.p95)),
        ("p99", duration_text(figures.p99)),
        ("Longest", duration_text(figures.maximum)),
    ]
    pairs = [element("div", {}, element("dt", {}, name), element("dd", {}, value)) for name, value in cells]
    return element("dl", {"class": "figures"}, *pairs)


def _charts(measured: Measurements) -> list[Element | None]:
    points = measured.points
    ticks = time_ticks([point.bucket.start for point in points], measured.period)
    hints = [_hint(point) for point in points]
    totals = [point.bucket.total for point in points]
    busiest = max(points, key=lambda point: point.bucket.total)
    rates = [point.bucket.failed / point.bucket.total if point.bucket.total else None for point in points]
    worst = max(rate or 0.0 for rate in rates)
    invocations = Chart(
        name="invocations",
        title="Invocations",
        description=f"{measured.figures.total:,} invocations, {measured.figures.failed:,} of them failed; most, "
        f"{busiest.bucket.total:,}, from {moment_text(busiest.bucket.start)} UTC.",
        series=[
            Series("failed", "failed", [point.bucket.failed for point in points]),
            Series("successful", "successful", [point.bucket.successful for point in points]),
        ],
        scale=linear_scale(max(totals), whole=True),
        tick_text=lambda value: f"{value:,.0f}",
        ticks=ticks,
        hints=hints,
    )
    errors = Chart(
        name="error-rate",
        title="Error rate",
        description=f"The share of invocations that failed; at most {share_text(worst)} in one step.",
        series=[Series("error rate", "failed", rates)],
        scale=linear_scale(worst),
        tick_text=share_text,
        ticks=ticks,
        hints=hints,
    )
    return [bar_chart(invocations), bar_chart(errors), _percentiles(measured, ticks, hints), _histogram(measured)]


def _percentiles(measured: Measurements, ticks: list[Tick], hints: list[str]) -> Element | None:
    lines = [Series(name, name, [point.percentiles[name] for point in measured.points]) for name in PERCENTILES]
    known = [value for line in lines for value in line.values if value is not None]
    if not known:
        return None
    scale = duration_scale(known)
    return line_chart(
        Chart(
            name="percentiles",
            title="Durations over time" + (" (logarithmic)" if scale.logarithmic else ""),
            description=f"The durations that half, 95 and 99 of 100 invocations did not exceed: over all "
            f"{duration_text(measured.figures.p50)}, {duration_text(measured.figures.p95)} and "
            f"{duration_text(measured.figures.p99)}.",
            series=lines,
            scale=scale,
            tick_text=duration_text,
            ticks=ticks,
            hints=hints,
        )
    )


def _histogram(measured: Measurements) -> Element | None:
    bins = measured.histogram
    if not bins:
        return None
    known = sum(bin.invocations for bin in bins)
    most = max(bins, key=lambda bin: bin.invocations)
    limits = [*[bin.begin_ms for bin in bins], bins[-1].end_ms]
    every = -(-len(bins) // _MOST_LABELS)
    ticks = [
        Tick(number, duration_text(limit), number % (2 * every) == 0)
        for number, limit in enumerate(limits)
        if number % every == 0
    ]
    return bar_chart(
        Chart(
            name="histogram",
            title="Distribution of durations",
            description=f"How many invocations took how long; most, {most.invocations:,}, took {bin_text(most)}.",
            series=[Series("invocations", "successful", [bin.invocations for bin in bins])],
            scale=linear_scale(most.invocations, whole=True),
            tick_text=lambda value: f"{value:,.0f}",
            ticks=ticks,
            hints=[f"{bin_text(bin)}: {bin.invocations:,}, {share_text(bin.invocations / known)}" for bin in bins],
        )
    )


def _hint(point: Point) -> str:
    bucket = point.bucket
    text = f"{moment_text(bucket.start)} UTC: {bucket.total:,} invocations"
    if not bucket.total:
        return text
    durations = ", ".join(f"{name} {duration_text(value)}" for name, value in point.percentiles.items())
    return f"{text}, {bucket.failed:,} failed ({share_text(bucket.failed / bucket.total)}); {durations}"


def _numbers(measured: Measurements) -> Element:
    rows = [element("tr", {}, *[element("th", {"scope": "col"}, name) for name in _SERIES_HEAD])]
    for point in measured.points:
        bucket = point.bucket
        rate = bucket.failed / bucket.total if bucket.total else None
        cells = [f"{bucket.total:,}", f"{bucket.failed:,}", share_text(rate), duration_text(bucket.average)]
        cells += [duration_text(value) for value in point.percentiles.values()]
        start = element("th", {"scope": "row"}, moment_text(bucket.start))
        rows.append(element("tr", {}, start, *[element("td", {}, cell) for cell in cells]))
    table = element("table", {}, element("thead", {}, rows[0]), element("tbody", {}, *rows[1:]))
    return element("details", {}, element("summary", {}, "The numbers"), element("div", {"class": "table"}, table))
