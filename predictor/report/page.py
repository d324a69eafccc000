"""The page: one HTML file with the report, its chart library and its data, which cannot load or send anything.

Owns how data gets into HTML safely: text through the autoescaping template, JSON without any character that HTML
interprets, characters that change the direction of text as visible escapes (isolation protects the text around a name,
but not the name itself), and a Content-Security-Policy that allows only the two scripts and the style sheet whose
hashes it contains.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from traitcast.warehouse import charts
from traitcast.warehouse.console import as_json, printable, visible

if TYPE_CHECKING:
    from traitcast.predictor.report.sections import Report

# Of JSON these only occur inside strings, where the escape means the same. U+2028 and U+2029 end a line in old scripts.
_UNSAFE = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}


def render(report: Report) -> str:
    """The whole page as text; write it as UTF-8."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("traitcast.predictor.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # Markup is ours; a plain str may come from data.
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    style, script, runtime = _template("report.css"), in_script(_template("report.js")), in_script(charts.runtime())
    sections = {s.key: s.data for s in report.sections if s.data is not None and s.key not in ("overview", "recipe")}
    page = environment.get_template("report.html").render(
        report=report,
        policy=policy([script, runtime], [style]),
        style=Markup(style),
        script=Markup(script),
        runtime=Markup(runtime),
        data=Markup(embedded({"specs": specifications(), "sections": visible(sections)})),
    )
    return page.lstrip()


def _template(name: str) -> str:
    return files("traitcast.predictor.report").joinpath("templates", name).read_text(encoding="utf-8")


def embedded(value: Any) -> str:
    """JSON that may stand in a <script> element of HTML: no `</script>`, no `<!--`, no line separator."""
    return as_json(value, indent=None).translate(_UNSAFE)


def in_script(source: str) -> str:
    """JavaScript that may stand in a <script> element: what would end the element gets a backslash.

    In a string, a template or a regular expression the backslash changes nothing; elsewhere neither text occurs.
    """
    return source.replace("</script", "<\\/script").replace("<!--", "<\\!--").replace("\r\n", "\n")


def policy(scripts: list[str], styles: list[str]) -> str:
    """A Content-Security-Policy under which only these inline scripts and style sheets work, and nothing loads."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(map(_hash, scripts))}",
            f"style-src {' '.join(map(_hash, styles))}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def specifications() -> dict[str, Any]:
    """The compiled charts without rows, which the page fills in whenever a choice changes."""
    return {
        "heatmap": charts.compiled(charts.heatmap([], ink="currentColor")),
        "intervals": charts.compiled(charts.intervals([])),
        "waterfall": charts.compiled(charts.waterfall_of([])),
        "percentiles": charts.compiled(charts.percentiles([])),
        "histogram": charts.compiled(charts.histogram([], axis=" ")),
        "shares": charts.compiled(charts.shares([])),
        "bars": charts.compiled(charts.bars([], axis=" ")),
        "swarm": charts.compiled(charts.swarm([])),
        "biplot": charts.compiled(charts.biplot([])),
    }
