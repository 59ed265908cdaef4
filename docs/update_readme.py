"""Write the table of the forty-three into the README, from the verdicts in `results/`."""

import pathlib
import re

from cadlag.recipes import markdown_table, read_recorded

ROOT = pathlib.Path(__file__).parents[1]
BETWEEN = re.compile(r"(<!-- table: begin[^\n]*-->\n)(.*?)(<!-- table: end -->)", re.S)


def main() -> None:
    """Replace what stands between the markers."""
    readme = ROOT / "README.md"
    table = markdown_table(read_recorded(ROOT / "results"))
    text, count = BETWEEN.subn(lambda m: f"{m[1]}{table}{m[3]}", readme.read_text(encoding="utf8"))
    if count != 1:
        raise SystemExit("README.md: the markers of the table are missing.")
    readme.write_text(text, encoding="utf8")


if __name__ == "__main__":
    main()
