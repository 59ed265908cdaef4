"""Write the API pages, one a room, from what each room exports: `python docs/update_api.py`."""

import ast
import importlib
import pathlib

HERE = pathlib.Path(__file__).parent
ROOMS = (
    "linalg", "paths", "fields", "kernels", "nn", "distributions", "metrics", "data", "solve", "diffusion", "equations",
    "train", "series", "generate", "operators", "physics", "limits", "lens", "recipes", "report", "cli",
)  # fmt: skip


def public_names(room: str) -> list[str]:
    """The names that `cadlag/<room>/__init__.py` re-exports as `X as X`, in its order."""
    package = importlib.import_module(f"cadlag.{room}")
    tree = ast.parse(pathlib.Path(package.__file__ or "").read_text(encoding="utf8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return [alias.asname for node in imports for alias in node.names if alias.asname == alias.name]


def identifier(room: str, name: str) -> str:
    """Where mkdocstrings finds it: in the room, or in its own module where a module has the same name."""
    package = importlib.import_module(f"cadlag.{room}")
    folder = pathlib.Path(package.__file__ or "").parent
    twin = (folder / f"{name}.py").exists()
    return f"cadlag.{room}.{name}.{name}" if twin and callable(getattr(package, name)) else f"cadlag.{room}.{name}"


def page(room: str) -> str:
    """One page: the room's own docstring, then every public name."""
    package = importlib.import_module(f"cadlag.{room}")
    first = (package.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
    entries = [f"::: {identifier(room, name)}\n" for name in public_names(room)]
    return "\n".join([f"# cadlag.{room}\n", f"{first}\n", *entries])


def main() -> None:
    """Write all pages."""
    (HERE / "api").mkdir(exist_ok=True)
    for room in ROOMS:
        (HERE / "api" / f"{room}.md").write_text(page(room), encoding="utf8")


if __name__ == "__main__":
    main()
