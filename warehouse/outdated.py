"""Stored profiles whose numbers were measured under other trait definitions than the rest of the warehouse.

Owns how they are told to the user, with the command that measures each again. Whether one is outdated is the
version of the catalogue it was measured with; the shipped profiles are renewed with the package.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from traitcast.warehouse.console import command, warn

if TYPE_CHECKING:
    from pathlib import Path

    from traitcast.warehouse.database.warehouse import Warehouse
    from traitcast.warehouse.records import Profile

_SHOWN = 5


def warn_outdated(warehouse: Warehouse, names: Sequence[str] | None = None) -> None:
    """Warn on stderr about each outdated profile of the user among `names` (default: all)."""
    outdated = warehouse.outdated(names)
    for name in outdated[:_SHOWN]:
        profile = warehouse.profile(name)
        warn(
            f"{name!r} was measured with older trait definitions (version {profile.details['catalogue_version']}) "
            f"than the rest of the warehouse ({warehouse.catalogue_version()}), so comparisons with it are off. "
            f"Measure it again: {measure_again(profile, warehouse.path)}"
        )
    if len(outdated) > _SHOWN:
        warn(f"so were {len(outdated) - _SHOWN} more profiles: {', '.join(outdated[_SHOWN:])}")


def measure_again(profile: Profile, warehouse: Path | None = None) -> str:
    """The command that profiles the same data under the same name, read and sampled as before."""
    details = profile.details
    options = {"--name": profile.name}
    for key in ("split", "spec", "config", "revision", "language_stated", "stream"):
        if details.get(key):
            options[f"--{key.removesuffix('_stated')}"] = str(details[key])
    pipeline = pipeline_name(details.get("spacy_model") or "")
    if pipeline and not pipeline.startswith("en_core_web_sm"):
        options["--spacy-model"] = pipeline
    if details.get("roles_stated"):
        options["--roles"] = " ".join(details["roles_stated"])
    sampled = details.get("sample_rows", profile.rows)
    options["--rows"] = str(sampled) if sampled < profile.rows else "all"
    if details.get("seed"):
        options["--seed"] = str(details["seed"])
    words = (str(details.get("origin", "DATASET")), *(word for pair in options.items() for word in pair))
    return command("profile", *words, warehouse=warehouse)


def pipeline_name(stored: str) -> str:
    """The package or folder in "NAME VERSION, spacy VERSION", as a profile keeps its spaCy pipeline; "" for none."""
    return stored.rpartition(", spacy ")[0].rpartition(" ")[0]
