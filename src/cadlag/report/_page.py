"""`report.html`: one self-contained page from the files of a run folder."""

import base64
import html
import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from . import plots
from ._claims import claim_section, tally
from ._numbers import cell, duration
from ._style import STYLE

_TYPES = {".svg": "image/svg+xml", ".png": "image/png", ".gif": "image/gif"}


def write_report(out: str | pathlib.Path) -> pathlib.Path:
    """Write `report.html` into the run folder `out`, from `config.json`, `claims.json` and `page.json`.

    Pictures are drawn into `figures/` and embedded; the page asks no other host for anything. Returns its
    path.
    """
    out = pathlib.Path(out)
    config, claims, page = (_read(out / f"{name}.json") for name in ("config", "claims", "page"))
    path = out / "report.html"
    partial = out / ".report.html.part"
    partial.write_text(render(config, claims, page, out), encoding="utf8")
    partial.replace(path)
    return path


def _read(path: pathlib.Path) -> Any:
    if not path.exists():
        raise ValueError(f"{path} is missing, so {path.parent} is not a finished run; run the recipe again to go on.")
    try:
        return json.loads(path.read_text(encoding="utf8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is damaged ({error}); run the recipe again on the same folder.") from error


def render(config: Mapping[str, Any], claims: Mapping[str, Any], page: Mapping[str, Any], out: pathlib.Path) -> str:
    """The whole page as text."""
    verdicts = "\n".join(
        claim_section(c, page["reasons"].get(c["id"], ""), page["against"].get(c["id"])) for c in claims["claims"]
    )
    body = [
        _head(config, claims, page),
        tally(claims["claims"]),
        _alarm(page),
        verdicts,
        _section("Figures", "\n".join(picture_figure(p, out) for p in page["pictures"])),
        _section("Tables", "\n".join(table_section(t) for t in page["tables"])),
        _section("Arms", _arms(config)),
        _section("How to reproduce", _reproduce(config)),
        _section("Citation", f"<pre>{html.escape(page['bibtex'].strip())}</pre>" if page["bibtex"] else ""),
    ]
    return document(f"{config['recipe']} · {config['preset']} · Cadlag", body)


def document(title: str, body: Sequence[str]) -> str:
    """A whole page from its parts, empty ones left out."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in body if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def _section(title: str, content: str) -> str:
    return f"<h2>{title}</h2>\n{content}" if content else ""


def _head(config: Mapping[str, Any], claims: Mapping[str, Any], page: Mapping[str, Any]) -> str:
    seeds = len(config["seeds"])
    facts = [
        f"recipe <code>{html.escape(config['recipe'])}</code>",
        f"preset {html.escape(config['preset'])}",
        f"{seeds} seed{'s' if seeds != 1 else ''}",
        f"{duration(claims['wall_seconds'])} on {config['machine']['cores']} cores",
    ]
    summary = f"<p>{html.escape(page['summary'])}</p>" if page["summary"] else ""
    return f'<p class="eyebrow">{" · ".join(facts)}</p>\n<h1>{html.escape(page["title"])}</h1>\n{summary}'


def _alarm(page: Mapping[str, Any]) -> str:
    lines = [f"{f['arm']}, seed {f['seed']}: {f['error']}" for f in page["failed"]] + page.get("notes", [])
    if not lines:
        return ""
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    text = "Claims that rest on what follows are left open. Running the same command again retries it."
    head = f"<h3>Something broke</h3><p>{text}</p>"
    return f'<section class="alarm">{head}<ul class="small">{items}</ul></section>'


def picture_figure(picture: Mapping[str, Any], out: pathlib.Path) -> str:
    """A picture with its caption; drawn ones are kept in `figures/` too."""
    caption = f"<figcaption>{html.escape(picture['caption'])}</figcaption>"
    if picture["kind"] == "drawn":
        return f"<figure>{_embedded(out / 'figures' / picture['file'], picture['caption'])}{caption}</figure>"
    svg = plots.draw(picture)
    plots.save_svg(out / "figures" / f"{picture['name']}.svg", svg)
    return f"<figure>{_inline(svg, picture['name'])}{caption}</figure>"


def _inline(svg: str, name: str) -> str:
    """`svg` in the colours of the page, with marks that no other picture of the page uses."""
    prefix = re.sub(r"[^A-Za-z0-9_-]", "-", name)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'(href="|url\()#', rf"\1#{prefix}-", svg)
    return svg.replace(plots.INK, "currentColor")


def _embedded(path: pathlib.Path, alt: str) -> str:
    kind = _TYPES.get(path.suffix.lower())
    if kind is None:
        raise ValueError(f"The picture {path.name} must be an SVG, a PNG or a GIF.")
    if not path.exists():
        raise ValueError(f"The picture {path} does not exist.")
    content = base64.b64encode(path.read_bytes()).decode()
    return f'<img src="data:{kind};base64,{content}" alt="{html.escape(alt, quote=True)}">'


def table_section(table: Mapping[str, Any]) -> str:
    """A table with its title."""
    rows = [[cell(value) for value in row] for row in table["rows"]]
    right = [any(row[i][1] for row in rows) for i in range(len(table["columns"]))]
    heads = "".join(
        f'<th class="n">{html.escape(c)}</th>' if r else f"<th>{html.escape(c)}</th>"
        for c, r in zip(table["columns"], right, strict=True)
    )
    body = "".join("<tr>" + "".join(_cell(*value) for value in row) + "</tr>" for row in rows)
    caption = f'<p class="soft small">{html.escape(table["caption"])}</p>' if table["caption"] else ""
    return (
        f"<h3>{html.escape(table['title'])}</h3>{caption}"
        f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _cell(text: str, is_number: bool) -> str:
    if is_number:
        return f'<td class="n">{text}</td>'
    return f'<td class="long">{text}</td>' if len(text) > 40 else f"<td>{text}</td>"


def _arms(config: Mapping[str, Any]) -> str:
    rows = [[a["name"], a["kind"], a["description"]] for a in config["arms"]]
    table = {"title": "", "columns": ["arm", "kind", "what it is"], "rows": rows, "caption": ""}
    return table_section(table).removeprefix("<h3></h3>")


def _reproduce(config: Mapping[str, Any]) -> str:
    machine = ", ".join(f"{key} {value}" for key, value in config["machine"].items())
    versions = ", ".join(f"{key} {value}" for key, value in config["versions"].items())
    seeds = ", ".join(map(str, config["seeds"]))
    settings = html.escape(json.dumps(config["settings"], indent=2, ensure_ascii=False))
    return (
        f"<pre>{html.escape(config['command'])}</pre>\n"
        f'<p class="small soft">Precision float{config["precision"]}; seeds {seeds}. '
        f"Versions: {html.escape(versions)}. Machine: {html.escape(machine)}.</p>\n"
        f"<details><summary>Settings</summary><pre>{settings}</pre></details>"
    )
