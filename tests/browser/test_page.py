"""The report in a real browser: charts draw, choices work, nothing is loaded, and everybody can read it."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.browser.conftest import Browser
from tests.conftest import make_profile
from traitcast.warehouse.database.warehouse import Warehouse

WRONG = (
    "</script><script>window.hacked=1</script>",
    "<img src=x onerror='window.hacked=1'>",
    "\u202eright to left\u202c",
    "\U0001f600 \"quoted\" 'twice'",
    "x" * 10_000,
)
# Contrast as WCAG 2.2 defines it, of every text against the nearest background that is not transparent.
CONTRAST = """
const lum = (c) => c.map((v) => v / 255).map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
  .reduce((s, v, i) => s + v * [.2126, .7152, .0722][i], 0);
const rgb = (t) => (t.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
const behind = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
  if (c.length === 3 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
return [...document.querySelectorAll('h1,h2,h3,p,a,code,dt,dd,label,figcaption,th,td,summary,.missing,select,option')]
  .filter((e) => e.offsetParent && e.textContent.trim()).map((e) => {
    const [a, b] = [lum(rgb(getComputedStyle(e).color).slice(0, 3)), lum(behind(e))].sort((x, y) => y - x);
    return [(a + .05) / (b + .05), e.tagName + ': ' + e.textContent.slice(0, 40)]; }).sort((x, y) => x[0] - y[0])[0];
"""


def cells(browser: Browser) -> int:
    return int(browser.run("return document.querySelectorAll('#transfer-plot .mark-rect.role-mark path').length"))


def test_everything_draws_and_nothing_is_loaded(browser: Browser, large: Path) -> None:
    browser.open(large)
    drawn = browser.run(
        "return Object.fromEntries([...document.querySelectorAll('.plot')].map((p) =>"
        "[p.id, p.querySelectorAll('svg .mark-rect path, svg .mark-symbol path').length]))"
    )
    empty = {name for name, marks in drawn.items() if not marks}
    # The matrix is scores only, so no labels and lengths moved.
    assert empty <= {"effects-labels", "effects-lengths"}
    assert {"transfer-plot", "ranking-plot", "explanations-plot", "quality-plot"} < {*drawn} - empty
    assert browser.messages() == []
    assert browser.requests() == [large.as_uri()]
    browser.shoot("wide")


def test_traits_are_drawn_where_the_predictor_uses_them(browser: Browser, with_traits: Path) -> None:
    marks = (
        "return ['reasons-families', 'reasons-traits'].map((id) =>"
        "document.querySelectorAll(`#${id} svg .mark-rect path, #${id} svg .mark-symbol path`).length)"
    )
    browser.open(with_traits)
    families, dots = browser.run(marks)
    assert families >= 2
    assert dots > 100


def test_84_datasets_and_three_seeds_stay_small_and_quick(browser: Browser, large: Path) -> None:
    assert large.stat().st_size < 5_000_000
    started = time.monotonic()
    browser.open(large)
    # Under 2 s on an idle machine (docs/guides/share.md); tests often run on a busy one.
    assert time.monotonic() - started < 30
    assert cells(browser) == 84 * 84


def test_a_cell_tells_its_gain_error_and_seeds(browser: Browser, large: Path) -> None:
    browser.open(large)
    browser.run("document.getElementById('transfer-plot').scrollIntoView({behavior: 'instant', block: 'start'})")
    x, y = browser.run(
        "const r = document.querySelectorAll('#transfer-plot .mark-rect.role-mark path')[1500].getBoundingClientRect();"
        "return [r.x + r.width / 2, r.y + r.height / 2]"
    )
    browser.command("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    browser.until("!document.getElementById('tip').hidden")
    lines = browser.run("return document.getElementById('tip').innerText").splitlines()
    assert [line.split(" ")[0] for line in lines] == ["source", "target", "gain", "standard", "seeds"]
    assert lines[4].count(",") == 2


def test_choices_and_filters_work(browser: Browser, large: Path) -> None:
    browser.open(large)
    text = "return document.getElementById(arguments[0]).innerText"
    browser.choose("transfer-source", "mnli")
    browser.until("document.querySelectorAll('#transfer-plot .mark-rect.role-mark path').length === 84")
    browser.choose("datasets-filter", "nli classification")
    names = browser.run("return [...document.querySelectorAll('#datasets-list tbody th')].map((e) => e.innerText)")
    assert browser.run(text, "datasets-count").startswith(f"{len(names)} of 84 datasets")
    assert {"mnli", "snli", "rte"} <= set(names)
    assert "gsm8k" not in names
    browser.choose("compare-a", "gsm8k")
    browser.choose("traits-filter", "response tokens mean")
    assert "gsm8k" in browser.run(text, "compare-facts")
    assert "response_tokens_mean" in browser.run(text, "traits-table")
    first = browser.run("return document.querySelector('#ranking-plot svg').outerHTML")
    browser.choose("ranking-target", "gsm8k")
    browser.until(f"document.querySelector('#ranking-plot svg').outerHTML.length !== {len(first)}")
    assert browser.messages() == []


def test_a_table_stands_behind_every_chart(browser: Browser, large: Path) -> None:
    browser.open(large)
    rows = browser.run(
        "return [...document.querySelectorAll('figure')].filter((f) => f.offsetParent).map((f) => {"
        "const d = f.querySelector('details'); d.open = true; d.ontoggle();"
        "return [f.querySelector('.plot').id, f.querySelectorAll('tbody tr').length]; })"
    )
    assert len(rows) >= 6
    assert all(count > 0 for _, count in rows), rows
    assert dict(rows)["transfer-plot"] == 84
    order = "return [...document.querySelectorAll('#ranking-plot-table tbody td:nth-child(2)')].map((e) => e.innerText)"
    gains = sorted(float(text.replace("\u2212", "-")) for text in browser.run(order))
    for wanted in (gains[::-1], gains):
        browser.run("document.querySelectorAll('#ranking-plot-table th button')[1].click()")
        assert [float(text.replace("\u2212", "-")) for text in browser.run(order)] == wanted


def test_names_are_whole_on_a_phone(browser: Browser, large: Path) -> None:
    browser.open(large, width=360)
    for plot in ("quality-plot", "compare-plot"):
        labels = browser.run(
            f"return [...document.querySelectorAll('#{plot} .role-axis-label text')].map((e) => e.textContent)"
        )
        assert any(len(label) > 25 for label in labels), plot
        assert not [label for label in labels if "\u2026" in label], plot


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_can_be_read_anywhere(browser: Browser, large: Path, width: int, dark: bool) -> None:
    browser.open(large, width=width, height=800, dark=dark)
    assert browser.run("return [document.documentElement.scrollWidth, innerWidth]") == [width, width]
    worst, where = browser.run(CONTRAST)
    assert worst >= 4.5, where
    background = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(20, 23, 26)") == dark
    ink, label = browser.run(
        "return [document.body, document.querySelector('#ranking-plot text')].map((e) => getComputedStyle(e))"
        ".map((style, i) => i ? style.fill : style.color)"
    )
    assert ink == label
    small = browser.run(
        "return [...document.querySelectorAll('select, input')]"
        ".filter((e) => e.offsetParent && e.offsetHeight < 24).length"
    )
    assert small == 0
    browser.shoot(f"{width}-{'dark' if dark else 'light'}")


def test_it_works_with_a_keyboard(browser: Browser, large: Path) -> None:
    browser.open(large)
    reached = []
    for _ in range(14):
        browser.command("Input.dispatchKeyEvent", type="keyDown", key="Tab", code="Tab", windowsVirtualKeyCode=9)
        browser.command("Input.dispatchKeyEvent", type="keyUp", key="Tab", code="Tab", windowsVirtualKeyCode=9)
        reached.append(browser.run("const e = document.activeElement; return e.id || e.className || e.hash"))
    assert reached[0] == "skip"
    assert {"#transfer", "#recipe", "transfer-which", "transfer-source", "transfer-plot"} <= set(reached)
    outline = browser.run("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"


def test_charts_have_names_for_a_screen_reader(browser: Browser, large: Path) -> None:
    browser.open(large)
    found = browser.run(
        "return [...document.querySelectorAll('.plot svg')].map((s) => {"
        "const named = s.closest('[aria-labelledby]'); const g = s.querySelector('[aria-label]') || s;"
        "const words = document.getElementById(named.getAttribute('aria-labelledby')).innerText;"
        "return [words, g.getAttribute('aria-label')]; })"
    )
    assert len(found) >= 6
    assert all(words for words, _ in found)
    assert all(label for _, label in found)


def test_it_prints(browser: Browser, large: Path) -> None:
    browser.open(large, dark=True)
    browser.command("Emulation.setEmulatedMedia", media="print")
    assert browser.run("return getComputedStyle(document.querySelector('nav')).display") == "none"
    assert browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.run("return getComputedStyle(document.querySelector('#ranking-plot text')).fill") == "rgb(0, 0, 0)"
    # Menus are no use on paper: what was chosen stands there in words, and no hint to point at anything.
    told = browser.run("return [...document.querySelectorAll('.chosen')].map((e) => e.innerText)")
    assert any(text.startswith("Target: ") for text in told)
    assert any(text.startswith("Matrix and model: planted, ") for text in told)
    assert "Point at a" not in browser.run("return document.body.innerText")
    browser.command("Emulation.setEmulatedMedia", media="")
    made = base64.b64decode(browser.command("Page.printToPDF", printBackground=True)["data"])
    assert made.startswith(b"%PDF")
    assert made.count(b"/Type /Page\n") + made.count(b"/Type /Page ") + made.count(b"/Type /Page/") >= 4


def test_hostile_labels_are_shown_and_do_nothing(
    browser: Browser, warehouse_path: Path, write_page: Callable[..., Path]
) -> None:
    with Warehouse.open(warehouse_path) as warehouse:
        counts = tuple((label, 20) for label in WRONG)
        warehouse.save_profile(make_profile("hostile", (5.0, 0.2, 20.0, 1.0, 1.0), counts))
    browser.open(write_page(warehouse_path))
    browser.choose("compare-a", "hostile")
    shown = browser.run(
        "return [...document.querySelectorAll('#compare-facts bdi')]"
        ".map((e) => [e.textContent, getComputedStyle(e).unicodeBidi])"
    )
    assert {WRONG[0], WRONG[1], "\\u202eright to left\\u202c", WRONG[3], "x" * 59 + "\u2026"} <= {
        text for text, _ in shown
    }
    assert {bidi for _, bidi in shown} == {"isolate"}
    assert browser.run("return [window.hacked ?? null, document.querySelectorAll('img').length]") == [None, 0]
    assert browser.messages() == []
    assert browser.run("return document.documentElement.scrollWidth") == 1280


def test_a_dataset_may_have_the_name_of_what_every_object_inherits(
    browser: Browser, tmp_path: Path, write_page: Callable[..., Path]
) -> None:
    with Warehouse.open(tmp_path / "own.duckdb") as warehouse:
        warehouse.save_profile(replace(warehouse.profile("mr"), name="constructor"))
    browser.open(write_page(tmp_path / "own.duckdb"))
    for name in ("constructor", "sst2"):
        browser.choose("ranking-target", name)
        browser.choose("ranking-count", "")
        assert "undefined" not in browser.run("return document.querySelector('#ranking-facts').innerText")
    measured = browser.run(
        "const find = (o) => !o || typeof o !== 'object' ? null"
        " : o.measured_in ? o : Object.values(o).map(find).find(Boolean);"
        "return Object.keys(find(JSON.parse(document.getElementById('data').textContent)).measured.sst2).length"
    )
    assert measured > 1
    assert f"Diamonds: {measured} gains" in browser.run("return document.querySelector('#ranking-facts').innerText")
    assert browser.messages() == []


def test_long_names_break_and_every_heading_can_be_reached(
    browser: Browser, warehouse_path: Path, write_page: Callable[..., Path]
) -> None:
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_profile(make_profile("long_name_" * 10, (5.0, 0.2, 20.0, 1.0, 1.0), ()))
    page = write_page(warehouse_path)
    for width, media in ((360, ""), (1280, ""), (760, "print")):
        browser.open(page, width=width)
        browser.command("Emulation.setEmulatedMedia", media=media)
        assert browser.run("return document.documentElement.scrollWidth") == width
    browser.command("Emulation.setEmulatedMedia", media="")
    low = browser.run(
        "return [...document.querySelectorAll('th button')]"
        ".filter((b) => !b.innerText.trim() || b.offsetHeight < 10).length"
    )
    assert low == 0


def test_legends_and_colours_go_by_meaning(browser: Browser, with_traits: Path) -> None:
    browser.open(with_traits)
    fills = (
        "return [...document.querySelectorAll('#ranking-plot .mark-symbol.role-mark path')]"
        ".map((e) => [e.getAttribute('fill'), e.getAttribute('aria-label')])"
    )
    legend = "return [...document.querySelectorAll('#ranking-plot .role-legend-label text')].map((e) => e.textContent)"
    assert {fill for fill, _ in browser.run(fills)} >= {"#2c9a77"}
    assert "measured" in browser.run(legend)
    assert not {"predictor", "ceiling"} & set(browser.run(legend))


def test_an_empty_warehouse_gives_a_page_that_says_so(
    browser: Browser, warehouse_path: Path, write_page: Callable[..., Path]
) -> None:
    empty = warehouse_path.with_name("empty.duckdb")
    Warehouse.open(empty).close()
    browser.open(write_page(empty), width=360)
    told = browser.run("return [...document.querySelectorAll('.missing code')].map((e) => e.innerText)")
    assert any(text.startswith("traitcast profile DATASET") for text in told)
    assert any(text.startswith("traitcast scores import FILE") for text in told)
    assert browser.run("return document.documentElement.scrollWidth") == 360
    assert browser.messages() == []
    browser.shoot("empty")
