"""Pictures and tables as plain data: a recipe says what to show, the report draws it."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

Numbers = Any
"""A list, tuple or array of numbers; NaN or `None` leaves a gap."""


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of `Curves`: `y` against `x`, with a band of `error` (one standard error) if given.

    `role` sets the weight of the line: "ours" is drawn strong, "baseline" lighter, "blind" dashed.
    """

    label: str
    x: Numbers
    y: Numbers
    error: Numbers | None = None
    role: str = "ours"


@dataclasses.dataclass(frozen=True)
class Curves:
    """Lines with bands: accuracy against missing rate, training curves."""

    name: str
    caption: str
    lines: Sequence[Line]
    x_label: str
    y_label: str
    log_x: bool = False
    log_y: bool = False
    kind: ClassVar[str] = "curves"


@dataclasses.dataclass(frozen=True)
class Paths:
    """Sample paths, one panel a label: `panels` maps it to curves over `times`, of shape (paths, times).

    `reference`, of shape (times,), is drawn dashed in every panel.
    """

    name: str
    caption: str
    times: Numbers
    panels: dict[str, Any]
    x_label: str = "time"
    y_label: str = ""
    reference: Numbers | None = None
    kind: ClassVar[str] = "paths"


@dataclasses.dataclass(frozen=True)
class Bars:
    """Horizontal bars: time per step, or any one figure a label. `errors` are standard errors."""

    name: str
    caption: str
    labels: Sequence[str]
    values: Numbers
    x_label: str
    errors: Numbers | None = None
    roles: Sequence[str] | None = None
    log: bool = False
    kind: ClassVar[str] = "bars"


@dataclasses.dataclass(frozen=True)
class Points:
    """Clouds of points in the plane, one panel a label: `panels` maps it to an array (points, 2)."""

    name: str
    caption: str
    panels: dict[str, Any]
    kind: ClassVar[str] = "points"


@dataclasses.dataclass(frozen=True)
class Trajectories:
    """Paths in the plane whose points are coloured by how far along they are, one panel a label.

    `panels` maps a label to an array (paths, points, 2); the first point is dark, the last one light. `limits` are
    ((x from, x to), (y from, y to)) for all panels.
    """

    name: str
    caption: str
    panels: dict[str, Any]
    x_label: str
    y_label: str
    limits: Any = None
    kind: ClassVar[str] = "trajectories"


@dataclasses.dataclass(frozen=True)
class Images:
    """Rows of small grey images: `rows` maps a label to an array (images, height, width) within `low` and `high`."""

    name: str
    caption: str
    rows: dict[str, Any]
    low: float | int = -1
    high: float | int = 1
    kind: ClassVar[str] = "images"


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A picture the recipe drew itself: `file`, an SVG, PNG or GIF in the folder `figures` of the run."""

    name: str
    caption: str
    file: str
    kind: ClassVar[str] = "drawn"


Picture = Curves | Paths | Bars | Points | Trajectories | Images | Drawn


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of the page.

    A cell is text, a number, `None`, or a list of numbers: the same figure over seeds, which the page shows
    as mean ± standard error.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""

    def __post_init__(self):
        for i, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueError(f"Table {self.title!r}: row {i} has {len(row)} cells for {len(self.columns)} columns.")


def picture_json(picture: Picture) -> dict[str, Any]:
    """`picture` as JSON-able data, with its kind."""
    return {"kind": picture.kind, **dataclasses.asdict(picture)}
