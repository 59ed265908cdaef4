"""Write the table of the forty-three into the README, and verdicts into the pages of systems, from `results/`."""

import json
import pathlib
import re

from cadlag.recipes import markdown_table, read_recorded

ROOT = pathlib.Path(__file__).parents[1]
BETWEEN = re.compile(r"(<!-- table: begin[^\n]*-->\n)(.*?)(<!-- table: end -->)", re.S)


def main() -> None:
    """Replace what stands between the markers."""
    _replace(ROOT / "README.md", markdown_table(read_recorded(ROOT / "results")))
    for path in sorted((ROOT / "results").glob("*-quick.json")):
        run = json.loads(path.read_text(encoding="utf8"))
        _replace(ROOT / "docs" / "systems" / f"{run['recipe']}.md", verdicts(run))


def verdicts(run: dict) -> str:
    """The claims of one recorded run as a Markdown table."""
    lines = [
        f"Preset `{run['preset']}`, seeds {', '.join(map(str, run['seeds']))}, {run['wall_seconds']:.0f} s:",
        "",
        "| claim | verdict | ours | baseline | difference |",
        "| --- | --- | --: | --: | --: |",
    ]
    for claim in run["claims"]:
        error = claim["standard_error"]
        spread = "" if error is None else f" ± {error:.2g}"
        difference = "" if claim["difference"] is None else f"{claim['difference']:.3g}{spread}"
        figures = ["" if claim[k] is None else f"{claim[k]:.4g}" for k in ("ours", "baseline")]
        lines.append(f"| `{claim['id']}` | {claim['verdict']} | {figures[0]} | {figures[1]} | {difference} |")
    return "\n".join(lines) + "\n"


def _replace(page: pathlib.Path, table: str) -> None:
    text, count = BETWEEN.subn(lambda m: f"{m[1]}{table}{m[3]}", page.read_text(encoding="utf8"))
    if count != 1:
        raise SystemExit(f"{page.name}: the markers of the table are missing.")
    page.write_text(text, encoding="utf8")


if __name__ == "__main__":
    main()
