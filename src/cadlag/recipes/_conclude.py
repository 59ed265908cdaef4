"""What follows measuring: verdicts, `claims.json`, and the data of the page."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from ._claim import Claim, Verdict
from ._picture import picture_json
from ._recipe import AbstractRecipe, Preset, Unit
from ._store import Journal, finite, plain, read_figures, read_unit, write_json

Progress = Callable[[dict[str, Any]], None]


@dataclasses.dataclass(frozen=True)
class RunReport:
    """What a run ended with. `failed` maps each unit that crashed to its error."""

    out: pathlib.Path
    recipe: str
    preset: Preset
    seeds: tuple[int, ...]
    claims: tuple[Claim, ...]
    failed: dict[Unit, str]
    wall_seconds: float

    @property
    def exit_code(self) -> int:
        """0 if everything was measured, 2 if a unit crashed. Failing claims are results, not errors."""
        return 2 if self.failed else 0


def check_claims(recipe: AbstractRecipe, preset: Preset) -> None:
    """Refuse, before anything is measured, a recipe whose judge could not be trusted afterwards.

    Without figures every claim must be there and "not measured"; names must be unique, and no claim may rest
    on an arm that is marked blind.
    """
    claims = recipe.judge({})
    names = [claim.id for claim in claims]
    blind = {arm.name for arm in recipe.arms(preset) if arm.kind == "blind"}
    for claim in claims:
        if names.count(claim.id) > 1:
            raise ValueError(f"Recipe {recipe.name!r} has two claims {claim.id!r}.")
        if claim.verdict is not Verdict.NOT_MEASURED:
            raise ValueError(f"Recipe {recipe.name!r}: claim {claim.id!r} {claim.verdict} without any figures.")
        if blind & set(claim.needs):
            raise ValueError(
                f"Recipe {recipe.name!r}: claim {claim.id!r} rests on the blind arm "
                f"{min(blind & set(claim.needs))!r}; "
                "beating an arm that cannot see the task shows nothing."
            )


def conclude(
    recipe: AbstractRecipe,
    config: dict[str, Any],
    units: Sequence[Unit],
    out: pathlib.Path,
    journal: Journal,
    progress: Progress,
) -> RunReport:
    """Judge what `units` left in `out` and write `claims.json` and `page.json`."""
    figures = read_figures(out, units)
    records = {unit: read_unit(out, unit) or {} for unit in units}
    failed = {u: str(r.get("error", "no result")) for u, r in records.items() if r.get("status") != "done"}
    claims = judge(recipe, figures, failed, Preset(config["preset"]))
    wall = round(journal.earlier + journal.wall_seconds, 3)
    head = {key: config[key] for key in ("recipe", "preset", "seeds")}
    entries = [claim.to_json() for claim in claims]
    write_json(
        out / "claims.json",
        finite({**head, "wall_seconds": wall, "versions": config["versions"], "claims": entries}),
    )
    (out / "figures").mkdir(exist_ok=True)
    write_json(out / "page.json", finite(_page(recipe, figures, claims, failed, out)))
    progress(journal.write({"event": "end", "failed": len(failed), "verdicts": {c.id: str(c.verdict) for c in claims}}))
    return RunReport(out, recipe.name, Preset(config["preset"]), tuple(config["seeds"]), tuple(claims), failed, wall)


def judge(
    recipe: AbstractRecipe, figures: dict[str, dict[int, dict]], failed: dict[Unit, str], preset: Preset
) -> list[Claim]:
    """Judge `figures`; a claim that rests on a unit in `failed` is left open, with the unit's error."""
    try:
        claims = recipe.judge(figures)
    except Exception:
        if not failed:
            raise
        claims = recipe.judge({})  # the gaps were too much for it: then nothing is judged
    judged = []
    for claim in claims:
        broken = {u: e for u, e in failed.items() if not claim.needs or u.arm in claim.needs}
        if broken:
            unit, error = next(iter(broken.items()))
            claim = claim.not_measured(f"{unit.arm}, seed {unit.seed} crashed: {error}")
        elif claim.verdict is Verdict.NOT_MEASURED and not set(claim.needs) <= figures.keys():
            claim = claim.not_measured(f"the preset {preset} does not measure it")
        judged.append(claim)
    return judged


def _page(
    recipe: AbstractRecipe,
    figures: dict[str, dict[int, dict]],
    claims: Sequence[Claim],
    failed: dict[Unit, str],
    out: pathlib.Path,
) -> dict[str, Any]:
    """All that the page shows beyond `config.json` and `claims.json`, as data."""
    notes: list[str] = []
    return {
        "title": recipe.title,
        "summary": recipe.summary,
        "bibtex": recipe.bibtex,
        "reasons": {claim.id: claim.outcome.reason for claim in claims if claim.outcome.reason},
        "against": {claim.id: claim.outcome.against for claim in claims},
        "failed": [{"arm": u.arm, "seed": u.seed, "error": error} for u, error in failed.items()],
        "tables": _listed("tables", lambda: [dataclasses.asdict(t) for t in recipe.tables(figures)], notes),
        "pictures": _listed(
            "pictures", lambda: [picture_json(p) for p in recipe.pictures(figures, out / "figures")], notes
        ),
        "notes": notes,
    }


def _listed(what: str, make: Callable[[], list[Any]], notes: list[str]) -> list[Any]:
    """What `make` returns; its error becomes a note, since hours of measuring must not end without a page."""
    try:
        return plain(make(), what)
    except Exception as error:
        notes.append(f"The {what} could not be made: {type(error).__name__}: {error}")
        return []
