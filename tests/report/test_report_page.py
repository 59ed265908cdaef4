"""The page: it says every verdict, asks no other host, and escapes what it is given."""

import base64
import dataclasses
import html.parser
import json
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from cadlag.recipes import Bars, Curves, Drawn, Line, Paths, Table
from cadlag.recipes._picture import picture_json
from cadlag.recipes._store import finite, plain
from cadlag.report import plots, write_report

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def claim(name, verdict, **extra):
    base = {
        "id": name, "statement": f"Sentence {name}.", "criterion": "ours - baseline > 0.1",
        "verdict": verdict,
        "per_seed": [], "ours": None, "baseline": None, "difference": None, "standard_error": None,
        "paper": None,
    }  # fmt: skip
    return {**base, **extra}


def write_run(out, **page):
    rows = [{"seed": 0, "ours": 0.91, "baseline": 0.55}, {"seed": 1, "ours": 0.93, "baseline": None}]
    measured = {
        "per_seed": rows,
        "ours": 0.92,
        "baseline": 0.6,
        "difference": 0.3123,
        "standard_error": 0.021,
    }
    claims = [
        claim("a", "holds", paper={"value": 0.987, "source": "recalled"}, **measured),
        claim("b", "fails", **measured),
        claim("c", "undecided", ours=0.002, difference=-0.001, standard_error=0.0006),
        claim("d", "not measured"),
    ]
    config = {
        "recipe": "tiny", "preset": "quick", "precision": 64, "settings": {"steps": 777}, "seeds": [0, 1],
        "arms": [{"name": "good", "kind": "ours", "description": "<b>"}], "versions": {"jax": "9.9"},
        "machine": {"cores": 2}, "command": "cadlag run tiny --preset quick",
    }  # fmt: skip
    head = {"recipe": "tiny", "preset": "quick", "seeds": [0, 1], "wall_seconds": 61.0, "versions": {}}
    content = {
        "title": "T <script>", "summary": "S", "bibtex": "@article{x}",
        "reasons": {"d": "the preset does not"},
        "against": {"a": 0.1, "c": 0.003}, "failed": [], "tables": [], "pictures": [], "notes": [], **page,
    }  # fmt: skip
    for name, value in (("config", config), ("claims", {**head, "claims": claims}), ("page", content)):
        (out / f"{name}.json").write_text(json.dumps(value))


VOID = {"meta", "img", "br", "line", "circle", "path", "use"}


class Tags(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links = [], [], []

    def handle_starttag(self, tag, attrs):
        for key, value in attrs:
            if key == "id":
                self.ids.append(value)
            if key in ("src", "href", "xlink:href"):
                self.links.append(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def parse(text):
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    return tags


def pictures(out):
    (out / "figures").mkdir()
    (out / "figures" / "mine.png").write_bytes(PIXEL)
    line = Line("one", [0, 1, 2], np.array([1.0, np.nan, 3.0]), (0.1, 0.1, 0.1))
    return [
        Curves("curve", "C", [line, Line("two", [0, 1, 2], [1, 2, 3], None, "blind")], "x", "y", log_y=True),
        Paths("paths", "P", [0, 1, 2], {"a": [[0, 1, 0], [1, 0, 1]], "b": [[2, 2, 2]]}),
        Bars("bars", "B", ["a", "b"], [1.0, 2.0], "ms", errors=[0.1, 0.1], roles=["ours", "baseline"]),
        Drawn("mine", "M", "mine.png"),
    ]


def test_every_verdict_and_figure_is_on_the_page(tmp_path):
    table = Table("Scores", ("arm", "score"), [["good", [0.2, 0.3, 0.4]], ["bad", None]])
    write_run(tmp_path, tables=[dataclasses.asdict(table)])
    text = write_report(tmp_path).read_text()
    parse(text)
    for words in (
        "Sentence a.", "Holds", "Fails", "Undecided", "Not measured", "the preset does not", "0.312 ± 0.021",
        "0.987", "(recalled)", "cadlag run tiny --preset quick", "@article{x}", "0.300 ± 0.058", "777",
        "jax 9.9", "threshold 0.1", "0.00200 ± 0.00060", "threshold 0.003", "61 s on 2 cores",
    ):  # fmt: skip
        assert words in text, words
    assert text.index("Sentence a.") < text.index("Scores")


def test_text_is_escaped(tmp_path):
    write_run(tmp_path)
    text = write_report(tmp_path).read_text()
    assert "<script" not in text
    assert "T &lt;script&gt;" in text
    assert "&lt;b&gt;" in text


def test_self_contained_with_pictures(tmp_path):
    write_run(tmp_path, pictures=finite(plain([picture_json(p) for p in pictures(tmp_path)])))
    text = write_report(tmp_path).read_text()
    tags = parse(text)
    assert text.count("<figure>") == 4
    assert len(tags.ids) == len(set(tags.ids))
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in tags.links)
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', text)) <= set(tags.ids)
    assert not re.search(r'(?:src|href)="(?:https?:)?//', text)
    for name in ("curve", "paths", "bars"):
        root = ET.parse(tmp_path / "figures" / f"{name}.svg").getroot()
        assert root.tag.endswith("svg")


def test_a_broken_unit_is_told(tmp_path):
    write_run(tmp_path, failed=[{"arm": "good", "seed": 2, "error": "Boom & bust"}], notes=["No tables."])
    text = write_report(tmp_path).read_text()
    assert "good, seed 2: Boom &amp; bust" in text
    assert "No tables." in text


def test_folders_that_are_no_run(tmp_path):
    with pytest.raises(ValueError, match="not a finished run"):
        write_report(tmp_path)
    write_run(tmp_path)
    (tmp_path / "claims.json").write_text("{")
    with pytest.raises(ValueError, match=r"claims\.json is damaged"):
        write_report(tmp_path)


def test_a_table_must_be_rectangular():
    with pytest.raises(ValueError, match=r"row 1 has 1 cells for 2 columns"):
        Table("T", ("a", "b"), [[1, 2], [1]])


def test_the_same_picture_is_the_same_text():
    records = {"a": [{"step": 0, "loss": 1.0}, {"step": 1, "loss": 0.5}, {"step": 2, "accuracy": 0.5}]}
    first, second = plots.training_curves(records), plots.training_curves(records)
    assert first == second
    assert first.startswith("<svg")
    assert plots.training_curves(records, y="accuracy", log_y=False) != first
    with pytest.raises(ValueError, match="no picture of kind 'pie'"):
        plots.draw({"kind": "pie"})
