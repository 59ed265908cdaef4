"""Numbers as a reader wants them: as many digits as the standard error allows."""

import html
import math
import statistics
from collections.abc import Sequence
from typing import Any

MINUS, TIMES, MISSING = "−", "×", "–"


def number(value: float | int | None, digits: int = 4) -> str:
    """`value` with `digits` significant digits; powers of ten for the very large and very small."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and abs(value) < 10**6:
        return str(value).replace("-", MINUS)
    if not math.isfinite(value):
        return "not finite"
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if -4 <= size < 6:
        return _trimmed(f"{value:.{max(0, digits - 1 - size)}f}").replace("-", MINUS)
    mantissa = f"{value / 10**size:.{max(0, digits - 2)}f}".replace("-", MINUS)
    return f"{mantissa}{TIMES}10<sup>{str(size).replace('-', MINUS)}</sup>"


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def with_error(mean: float | int | None, error: float | int | None) -> str:
    """`mean ± error`, both cut at the second digit of the error; without an error, four digits."""
    if mean is None or error is None or error == 0 or not math.isfinite(error) or not math.isfinite(mean):
        return number(mean)
    size = math.floor(math.log10(error))
    scale = math.floor(math.log10(max(abs(mean), error)))
    if size >= -5 and scale < 6:
        places = max(0, 1 - size)
        return f"{mean:.{places}f} ± {error:.{places}f}".replace("-", MINUS)
    factor = 10.0**scale
    places = max(0, 1 - size + scale)
    power = str(scale).replace("-", MINUS)
    text = f"({mean / factor:.{places}f} ± {error / factor:.{places}f}){TIMES}10<sup>{power}</sup>"
    return text.replace("-", MINUS)


def over_seeds(values: Sequence[float | int | None]) -> str:
    """Mean ± standard error of a figure over seeds; a seed that is not finite is said, not dropped in
    silence.
    """
    good = [v for v in values if v is not None and math.isfinite(v)]
    lost = len(values) - len(good)
    note = f' <small class="soft">({lost} of {len(values)} not finite)</small>' if lost else ""
    if not good:
        return MISSING + note
    error = statistics.stdev(good) / math.sqrt(len(good)) if len(good) > 1 else None
    return with_error(statistics.fmean(good), error) + note


def cell(value: Any) -> tuple[str, bool]:
    """A table cell as HTML, and whether it is a number."""
    if isinstance(value, (list, tuple)):
        return over_seeds(value), True
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return number(value), True
    return html.escape(str(value)), False


def duration(seconds: float | int) -> str:
    """Seconds in words a person would use."""
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
