"""What was measured, as rows of one Markdown table: medians, ranges, ratios to bare Python."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from loads import Load
from servers import FLOOR, Server

Results = Mapping[str, Sequence[Mapping[str, Any]]]  # By the name of a server, one result a round.
_THOUSAND = 1_000


@dataclass(frozen=True)
class Measure:
    """One figure of a run, and how a row names it."""

    name: str
    read: Callable[[Mapping[str, Any]], float]
    has_ratio: bool = True


CPU = Measure("CPU, µs a delivery", lambda run: float(run["cpu_us"]))
MIDDLE = Measure("p50, ms", lambda run: float(run["p50_ms"]))
TAIL = Measure("p99, ms", lambda run: float(run["p99_ms"]))
THROUGHPUT = Measure("deliveries/s", lambda run: float(run["deliveries"] / run["seconds"]))
GENERATOR = Measure("generator's core, %", lambda run: 100 * float(run["own_share"]), has_ratio=False)
MEMORY = Measure("KB a connection", lambda run: float(run["kb_each"]))
LOGIN = Measure("handshake and login, µs", lambda run: float(run["login_us"]))
TOTAL = Measure("memory in all, MB", lambda run: run["rss_kb"] / 1024, has_ratio=False)
LOST = Measure("lost", lambda run: float(run["lost"]), has_ratio=False)
_MEASURES = {
    "load": (CPU, MIDDLE, TAIL, THROUGHPUT, GENERATOR),
    "idle": (MEMORY, LOGIN),
    "crowd": (TOTAL, CPU, MIDDLE, TAIL, LOST),
}


def figure(value: float) -> str:
    """Three digits, or all of them before the point."""
    if value >= _THOUSAND:
        return f"{value:,.0f}"
    digits = 0 if value >= 100 or not value else 1 if value >= 10 else 2  # noqa: PLR2004 - three digits in all
    return f"{value:.{digits}f}"


def spread(values: Sequence[float]) -> str:
    """The median, and the range where there were several."""
    if len(values) == 1:
        return figure(values[0])
    return f"{figure(median(values))} ({figure(min(values))}–{figure(max(values))})"


def ratio(values: Sequence[float], floors: Sequence[float]) -> float | None:
    """The median of what each round says by itself, as the machine drifts between rounds."""
    pairs = [value / floor for value, floor in zip(values, floors, strict=False) if floor]
    return median(pairs) if pairs else None


def header(servers: Sequence[Server]) -> list[str]:
    """The head of the table."""
    names = ["load", "measure", *(server.name for server in servers), "wanted of Chaton"]
    return [_row(names), _row(["---"] * len(names))]


def rows(load: Load, servers: Sequence[Server], results: Results) -> list[str]:
    """All measures of one load."""
    told = []
    for number, measure in enumerate(_MEASURES[load.measure]):
        cells = [_cell(measure, results, server) for server in servers]
        told.append(_row([load.title if not number else "", measure.name, *cells, load.target if not number else ""]))
    return told


def _cell(measure: Measure, results: Results, server: Server) -> str:
    values = [measure.read(run) for run in results.get(server.name, ())]
    floor = results.get(FLOOR.name, ())
    if not values:
        return "–"
    times = ratio(values, [measure.read(run) for run in floor]) if measure.has_ratio and server is not FLOOR else None
    return spread(values) + (f" **{times:.2f}×**" if times is not None else "")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
