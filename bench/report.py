"""The results as text: tables for the terminal and docs/benchmarks.md."""

import os
import re
import statistics

BEGIN, END = "<!-- notes: kept by bench/run -->", "<!-- end of notes -->"
REFERENCE = "nginx"
LARGE = "Large configurations: 2,000 servers with 20,000 locations"

METHOD = """\
One run starts all servers afresh for each case, on loopback, and asks them in turn, round by round, so that all see
the same machine. The server runs on one core, the load (wrk) and the back end on {other}; one worker process or
thread each; keep-alive on both sides; the servers' default buffers; no access log unless the case is about it.
Figures are medians of {rounds} rounds of {seconds} s. An answer with a wrong status or length, or any error that
wrk counts, fails the figure. CPU is the time of all threads of all processes of the server ({clock}), divided by
the requests that wrk saw answered. System calls were counted by {tool} in a round of their own. Memory is resident
memory under load (proportional set size of all processes). The floor is `bench/floor/forwarder.c`, which does the
least that forwards at all, through one buffer of 256 KiB; it logs nothing and serves no files. Absolute figures
move with the machine; the ratios are what to compare."""


class Result:
    """One server in one case: its rounds, or why there are none. `idle` is (bytes per connection, all bytes)."""

    def __init__(self, problem="", failed=False):
        self.rounds, self.calls, self.idle = [], None, None
        self.shares, self.reloads_ms = [], []
        self.problem, self.failed = problem, failed

    def fail(self, why):
        self.problem, self.failed = why, True

    def value(self, what):
        """The median of one field of the rounds, or None."""
        if self.problem:
            return None
        if what == "calls":
            return self.calls
        if what in ("per_conn", "all"):
            return self.idle[what == "all"] if self.idle else None
        if what in ("shares", "reloads_ms"):
            return statistics.median(getattr(self, what)) if self.shares else None
        values = [v for v in (getattr(r, what) for r in self.rounds) if v is not None]
        return statistics.median(values) if values else None

    def spread(self):
        """How far the rounds' CPU lay apart, relative to the median."""
        values = [r.cpu_us for r in self.rounds]
        return (max(values) - min(values)) / statistics.median(values) if values else 0


def number(value):
    """Three digits are what such a measurement can carry."""
    if value is None:
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def cell(result, reference, what, scale=1.0):
    if result is None:
        return "–"
    if result.problem:
        return "failed" if result.failed else result.problem
    value = result.value(what)
    if value is None:
        return "–"
    base = reference.value(what) if reference else None
    if base and result is not reference:
        return f"{value / base:.2f} ({number(value * scale)})"
    return number(value * scale)


def table(results, cases, names, what, scale=1.0):
    """Rows of text: a header and one line a case."""
    rows = [["case"] + list(names)]
    for case in cases:
        line = results[case.name]
        rows.append([case.title] + [cell(line.get(n), line.get(REFERENCE), what, scale) for n in names])
    return rows


def tables(results, cases, names):
    """(title, rows) of every table that has a figure to show."""
    load = [c for c in cases if c.kind not in ("idle", "reload")]
    idle = [c for c in cases if c.kind == "idle"]
    reload = [c for c in cases if c.kind == "reload"]
    wanted = [("CPU per request, microseconds", load, "cpu_us", 1), ("Requests per second", load, "rate", 1),
              ("System calls per request", load, "calls", 1), ("Memory under load, MiB", load, "memory", 1 / (1 << 20)),
              ("User memory per idle connection, bytes", idle, "per_conn", 1),
              ("Memory of the whole server with these connections, MiB", idle, "all", 1 / (1 << 20)),
              ("Requests per second with a reload each second, share of those without", reload, "shares", 1),
              ("CPU of one reload, milliseconds", reload, "reloads_ms", 1)]
    return [(title, table(results, rows, names, what, scale)) for title, rows, what, scale in wanted if rows]


def problems(results, cases):
    """One line for each figure that failed."""
    return [f"{case.title}: {name}: {r.problem}"
            for case in cases for name, r in results[case.name].items() if r.failed]


def plain(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths)))
                     for row in rows)


def markdown(rows):
    head = "| " + " | ".join(rows[0]) + " |\n|---|" + "---:|" * (len(rows[0]) - 1)
    return "\n".join([head] + ["| " + " | ".join(row) + " |" for row in rows[1:]])


def worst_spread(results, cases):
    spreads = [(r.spread(), case.title, name) for case in cases for name, r in results[case.name].items()]
    spread, title, name = max(spreads, default=(0, "", ""))
    return f"The rounds of one figure lay at most {spread:.0%} apart ({name}, {title})." if spread else ""


def notes_of(path):
    """The hand-written part of the page that a run must not lose."""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            found = re.search(re.escape(BEGIN) + r"\n(.*?)" + re.escape(END), f.read(), re.S)
        if found:
            return found[1]
    return "\nNothing yet.\n\n"


def page(path, results, cases, names, facts, large=(), bad=()):
    """Writes docs/benchmarks.md. `facts` has date, machine, versions and the words of METHOD; large: rows of bench/routing.py; bad:
    what failed of that."""
    notes = notes_of(path)
    parts = ["# Benchmarks\n\nWritten by `make bench`; only the notes are written by hand. "
             f"{'Ratios to nginx, the figure itself in brackets' if REFERENCE in names else 'Absolute figures'}; "
             "lower is better, except for requests per second.",
             f"{facts['date']}. {facts['machine']}, load average {facts['busy']:.1f} before the run. "
             f"{', '.join(facts['versions'])}."]
    for title, rows in tables(results, cases, names):
        parts.append(f"## {title}\n\n{markdown(rows)}")
    if large:
        parts.append(f"## {LARGE}\n\nCPU per request beside that of one server with ten locations.\n\n{markdown(large)}")
    bad = list(bad) + problems(results, cases)
    if bad:
        parts.append("## Failed\n\n" + "\n".join(f"- {line}" for line in bad))
    parts.append(f"## Notes\n\n{BEGIN}\n{notes}{END}")
    parts.append("## Method\n\n" + METHOD.format(**facts) + "\n" + worst_spread(results, cases))
    new = f"{path}.new"
    with open(new, "w", encoding="utf-8") as f:
        f.write("\n\n".join(parts).rstrip() + "\n")
    os.replace(new, path)
