"""The verdicts, as the page shows them first."""

import collections
import html
from collections.abc import Mapping, Sequence
from typing import Any

from cadlag.recipes import Verdict

from ._numbers import number, with_error

_WORDS = {
    "holds": ("holds", "hold"),
    "fails": ("fails", "fail"),
    "undecided": ("undecided", "undecided"),
    "not measured": ("not measured", "not measured"),
}


def tally(claims: Sequence[Mapping[str, Any]]) -> str:
    """How many claims hold, fail, stay undecided or were not measured."""
    counts = collections.Counter(claim["verdict"] for claim in claims)
    parts = [
        f'<span class="{_css(v)}"><b>{counts[v]}</b>{_WORDS[v][counts[v] != 1]}</span>'
        for v in map(str, Verdict)
        if counts[v]
    ]
    return f'<div class="tally">{"".join(parts)}</div>'


def claim_section(claim: Mapping[str, Any], reason: str = "", against: float | int | None = None) -> str:
    """One claim: its verdict, sentence, criterion, figures, and the values behind them."""
    parts = [
        f'<section class="claim {_css(claim["verdict"])}">',
        f'<p class="verdict">{_verdict_line(claim["verdict"], reason)}</p>',
        f"<h3>{html.escape(claim['statement'])}</h3>",
        f'<p class="soft small">Holds if {html.escape(claim["criterion"])}</p>',
        _interval(claim, against),
        _figures(claim),
        _per_seed(claim["per_seed"]),
        "</section>",
    ]
    return "\n".join(part for part in parts if part)


def _css(verdict: str) -> str:
    return verdict.replace(" ", "-")


def _verdict_line(verdict: str, reason: str) -> str:
    text = verdict.capitalize()
    return f'{text}<span class="soft" style="font-weight:400"> · {html.escape(reason)}</span>' if reason else text


def _figures(claim: Mapping[str, Any]) -> str:
    pairs = []
    judged = _judged(claim)
    if judged == "difference":
        pairs += [("ours", number(claim["ours"])), ("baseline", number(claim["baseline"]))]
    if claim[judged] is not None:
        pairs.append((f"{judged} ± standard error", with_error(claim[judged], claim["standard_error"])))
    if claim["paper"] is not None:
        value = claim["paper"]["value"]
        shown = html.escape(value) if isinstance(value, str) else number(value)
        pairs.append(("paper", f'{shown} <small class="soft">({html.escape(claim["paper"]["source"])})</small>'))
    cells = "".join(f"<div><dt>{key}</dt><dd>{value}</dd></div>" for key, value in pairs)
    return f'<dl class="figures">{cells}</dl>' if cells else ""


def _judged(claim: Mapping[str, Any]) -> str:
    """What was held against the threshold: the difference, or ours alone where there is no baseline."""
    return "ours" if claim["baseline"] is None else "difference"


def _interval(claim: Mapping[str, Any], against: float | int | None) -> str:
    """What was judged, with two standard errors on both sides, and the threshold it had to clear."""
    middle, error = claim[_judged(claim)], claim["standard_error"]
    if middle is None or error is None or against is None:
        return ""
    low, high = middle - 2 * error, middle + 2 * error
    left, right = min(low, against), max(high, against)
    if right <= left:
        return ""
    pad = 0.12 * (right - left)

    def place(x: float) -> float:
        return round(10 + 400 * (x - left + pad) / (right - left + 2 * pad), 1)

    t, a, m, b = (place(x) for x in (against, low, middle, high))
    anchor = "start" if t < 60 else "end" if t > 360 else "middle"
    label = f"threshold {number(against)}".replace("<sup>", "^").replace("</sup>", "")
    return (
        '<svg class="interval" viewBox="0 0 420 40" role="img" '
        'aria-label="value with two standard errors, and the threshold">'
        '<line x1="10" x2="410" y1="14" y2="14" stroke="var(--faint)"/>'
        f'<line x1="{t}" x2="{t}" y1="4" y2="24" stroke="var(--ink)" stroke-width="1.2"/>'
        f'<text x="{t}" y="37" font-size="11" fill="var(--soft)" text-anchor="{anchor}">{label}</text>'
        f'<line x1="{a}" x2="{b}" y1="14" y2="14" stroke="currentColor" stroke-width="5" '
        'stroke-linecap="round" opacity=".4"/>'
        f'<circle cx="{m}" cy="14" r="4.5" fill="currentColor"/></svg>'
    )


def _per_seed(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    head = "".join(f'<th class="n">{html.escape(str(c))}</th>' for c in columns)
    body = "".join(f"<tr>{''.join(_number_cell(row.get(c)) for c in columns)}</tr>" for row in rows)
    table = f'<div class="wide"><table style="min-width:0"><tr>{head}</tr>{body}</table></div>'
    return f"<details><summary>Each seed</summary>{table}</details>"


def _number_cell(value: float | int | None) -> str:
    return f'<td class="n">{number(value)}</td>'
