"""Which spaCy pipeline a dataset is parsed with: what is installed, for which language, in which version.

Owns the choice, and whether a stored profile was parsed with the pipeline as it is now. Reads package metadata only:
refuses to import spaCy or to load a pipeline.
"""

from __future__ import annotations

import json
import os
from importlib.metadata import PackageNotFoundError, entry_points, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from traitcast.profiler.language import language_code
from traitcast.profiler.parsing.parser import MODELS
from traitcast.warehouse.records import pipeline_name

# Of several pipelines of one language the small one is taken, as for English; others by --spacy-model.
_SIZES = ("sm", "md", "lg", "trf")
# spaCy publishes a pipeline for each of these (https://spacy.io/models), all but Chinese under one name.
_PUBLISHED = frozenset(
    (
        *("ca", "da", "de", "el", "es", "fi", "fr", "hr", "it", "ja", "ko", "lt", "mk", "nb", "nl", "pl", "pt", "ro"),
        *("ru", "sl", "sv", "uk", "zh"),
    )
)


def choose(wanted: str | None, language: str | None) -> str | None:
    """The pipeline for texts of a language.

    Parameters
    ----------
    wanted
        What the user asked for, which is used as it is.
    language
        Of the texts, English unless stated.

    Returns
    -------
    str or None
        A package, or the absolute path of a folder, so that it is found again. None where no pipeline of the language
        is installed; English always has a name, since loading it says what to install.
    """
    if wanted is not None:
        # spaCy takes a package of that name before a folder.
        return wanted if _package_folder(wanted) or not os.path.isdir(wanted) else str(Path(wanted).resolve())
    code = language_code(language)
    if code == "en":
        return next((name for name in MODELS if find_spec(name)), MODELS[-1])
    names = (entry.name for entry in entry_points(group="spacy_models"))
    found = [name for name in names if (_meta(_package_folder(name)) or {}).get("lang") == code]
    return min(found, key=_preference, default=None)


def published(language: str | None) -> str | None:
    """The name of the small pipeline that spaCy publishes for a language, None for one without."""
    code = language_code(language)
    return f"{code}_core_{'web' if code == 'zh' else 'news'}_sm" if code in _PUBLISHED else None


def is_current(stored: str | None, wanted: str | None) -> bool:
    """Whether a profile was parsed with the pipeline `wanted` as it is now.

    Parameters
    ----------
    stored
        "name version, spacy version" as a profile keeps it, None when nothing was parsed. The values of a pipeline that
        is no longer installed stay valid, since it cannot have changed.
    wanted
        The pipeline that would be used now, None for none.
    """
    if wanted is None:
        return stored is None or not _there(pipeline_name(stored))
    if stored is None:
        return False
    folder = _package_folder(wanted) or Path(wanted)
    if not (folder / "meta.json").exists():
        return pipeline_name(stored) == wanted
    meta = _meta(folder)
    # Loading a damaged pipeline raises an error with the reason.
    return meta is not None and stored == f"{wanted} {meta.get('version')}, spacy {version('spacy')}"


def asked_for(stored: str | None) -> str | None:
    """The pipeline of an earlier profile; None for a default one that has been replaced by the other since."""
    name = pipeline_name(stored) if stored else None
    return None if name in MODELS and not find_spec(name) else name


def _preference(name: str) -> tuple[int, str]:
    size = name.rsplit("_", 1)[-1]
    return (_SIZES.index(size) if size in _SIZES else len(_SIZES), name)


def _there(name: str) -> bool:
    return _package_folder(name) is not None or os.path.isdir(name)


def _package_folder(name: str) -> Path | None:
    """Where an installed pipeline lies, None for a name that is no installed package."""
    try:
        version(name)
        spec = find_spec(name)
    except (PackageNotFoundError, ValueError, ImportError):
        return None
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def _meta(folder: Path | None) -> dict[str, Any] | None:
    """The meta.json of a pipeline, None where it cannot be read."""
    if folder is None:
        return None
    try:
        meta = json.loads((folder / "meta.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return meta if isinstance(meta, dict) else None
