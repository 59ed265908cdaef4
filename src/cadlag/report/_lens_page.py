"""`lens/report.html`: what `cadlag lens` saw in a run, on one self-contained page."""

import html
import json
import pathlib

from ._page import document, picture_figure, table_section


def write_lens_page(folder: str | pathlib.Path) -> pathlib.Path:
    """Write `report.html` into the folder `lens` of a run, from the JSON of its sections. Returns its path."""
    folder = pathlib.Path(folder)
    sections = [json.loads(path.read_text(encoding="utf8")) for path in sorted(folder.glob("*.json"))]
    if not sections:
        raise ValueError(f"{folder} holds nothing that `cadlag lens` saw.")
    body = [f'<p class="eyebrow">run <code>{html.escape(str(folder.parent))}</code></p>', "<h1>Lens</h1>"]
    for section in sections:
        body += [f"<h2>{html.escape(section['title'])}</h2>", f"<p>{html.escape(section['facts'])}</p>"]
        body += [picture_figure(p, folder) for p in section["pictures"]]
        body += [table_section(t) for t in section["tables"]]
    path = folder / "report.html"
    path.write_text(document(f"{folder.parent.name} · Lens · Cadlag", body), encoding="utf8")
    return path
