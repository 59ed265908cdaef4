"""From seconds to tables: medians, minima, ratios, verdicts on the limits set beforehand."""

from pathlib import Path
from statistics import median
from typing import Any

from facts import describe


def summarise(race: Any, workers: list, notes: list[str]) -> dict:
    """A race's rows. Of a row's variants the one with the least median counts; all are kept."""
    versions, rows = {}, []
    for row in race.rows:
        tried = [variant(w) for w in workers if w.row is row]
        for w in workers:
            versions |= w.prepared.get("versions", {})
        if tried:
            rows.append(one_row(row, tried))
    compare(rows)
    return {"id": race.id, "title": race.title, "rows": rows, "notes": notes, "versions": versions}


def variant(worker: Any) -> dict:
    """One process's figures, in seconds."""
    compiled = worker.prepared["compile"]
    options = {k: v for k, v in worker.options.items() if k not in ("compiles", "released")}
    return {
        "options": options,
        "median": median(worker.seconds),
        "minimum": min(worker.seconds),
        "repetitions": len(worker.seconds),
        "compile": None if compiled is None else median(compiled),
        "first_compile": None if compiled is None else compiled[0],
        "loss": worker.prepared.get("value"),
    }


def one_row(row: Any, tried: list[dict]) -> dict:
    """The best variant, with the least minimum and the least compile time of all variants."""
    best = min(tried, key=lambda v: v["median"])
    limits = {k: getattr(row, k) for k in ("required", "goal", "compile_required")}
    return {"name": row.name, **best, "limits": limits, "variants": tried}


def compare(rows: list[dict]) -> None:
    """Ratios ours / peer (below 1: we are faster), factors peer / ours, and whether a limit is kept."""
    ours = rows[0]
    for row in rows[1:]:
        row["ours_over_peer"] = ours["median"] / row["median"]
        row["ours_over_peer_minimum"] = ours["minimum"] / row["minimum"]
        row["compile_ours_over_peer"] = None if row["compile"] is None else ours["compile"] / row["compile"]
        row["holds"] = verdicts(row)


def verdicts(row: dict) -> dict:
    """Which limits are kept; only those that were set."""
    limits, factor = row["limits"], 1 / row["ours_over_peer"]
    kept = {k: factor >= limits[k] for k in ("required", "goal") if limits[k] is not None}
    if limits["compile_required"] is not None:
        kept["compile_required"] = 1 / row["compile_ours_over_peer"] >= limits["compile_required"]
    return kept


def write_markdown(path: Path, result: dict) -> None:
    """The tables, below the facts of the machine."""
    facts = dict(result["machine"])
    facts["versions"] = {k: v for race in result["races"] for k, v in race["versions"].items()}
    lines = ["# Races", "", *describe(facts), ""]
    lines += [
        f"Medians over {facts['rounds']} interleaved rounds (slow rows: fewer), one process at a time. "
        "Ratio: ours / peer, below 1 where the library is faster. Limits were set before measuring.",
        "",
    ]
    for race in result["races"]:
        lines += [f"## {race['title']}", "", *table(race["rows"]), "", *(f"- {n}" for n in race["notes"]), ""]
    path.write_text("\n".join(lines).rstrip() + "\n")


def table(rows: list[dict]) -> list[str]:
    """One race."""
    head = "| | variant | median ms | least ms | compile s | ratio | of least | of compiling | limit | kept |"
    lines = [head, "|---|---|--:|--:|--:|--:|--:|--:|---|---|"]
    for row in rows:
        cells = [row["name"], options(row), f"{1e3 * row['median']:.1f}", f"{1e3 * row['minimum']:.1f}"]
        cells.append("" if row["compile"] is None else f"{row['compile']:.2f}")
        cells += [number(row.get(k)) for k in ("ours_over_peer", "ours_over_peer_minimum", "compile_ours_over_peer")]
        cells += [limit(row["limits"]), kept(row.get("holds"))]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def options(row: dict) -> str:
    """What distinguishes the best variant, where there were several."""
    if len(row["variants"]) == 1:
        return ""
    flat = {}
    for key, value in row["options"].items():
        flat |= value if isinstance(value, dict) else {key: value}
    flat.pop("levy_area_approximation", None)
    return ", ".join(f"{k} {v}" for k, v in flat.items())


def number(x: float | None) -> str:
    """Three significant figures, or nothing."""
    return "" if x is None else f"{x:.3g}"


def limit(limits: dict) -> str:
    """Limits as ratios ours / peer."""
    names = {"required": "", "goal": "goal ", "compile_required": "compiling "}
    return ", ".join(f"{names[k]}≤ {1 / v:.3g}" for k, v in limits.items() if v is not None)


def kept(holds: dict | None) -> str:
    """Yes or no for each limit."""
    names = {"required": "", "goal": "goal ", "compile_required": "compiling "}
    return ", ".join(names[k] + ("yes" if v else "NO") for k, v in (holds or {}).items())
