"""A headless Chromium and the pages it opens. TRAITCAST_SCREENSHOTS names a folder for pictures to look at."""

from __future__ import annotations

import base64
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import load_benchmark
from traitcast.warehouse.database.warehouse import Warehouse

if TYPE_CHECKING:
    from selenium import webdriver

_NAMES = ("chromium", "chromium-browser", "google-chrome")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")


class Browser:
    """One Chromium window. Every message of its console and every request it makes is kept."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def command(self, name: str, **values: Any) -> Any:
        return self.driver.execute_cdp_cmd(name, values)

    def until(self, condition: str, seconds: float = 60.0) -> None:
        """Wait for a JavaScript expression to become true."""
        deadline = time.monotonic() + seconds
        while not self.run(f"return Boolean({condition})"):
            assert time.monotonic() < deadline, f"not true within {seconds:g} s: {condition}"
            time.sleep(0.05)

    def open(self, page: Path, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Open a file afresh and wait until every chart is drawn."""
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", media="", features=[scheme])
        self.messages(), self.requests()
        self.driver.get(page.as_uri())
        self.until("document.documentElement.dataset.ready")
        self.until("[...document.querySelectorAll('.plot')].every((p) => !p.clientWidth || p.dataset.drawn)")

    def messages(self) -> list[str]:
        """What the console said since the last time."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """The addresses asked for since the last time."""
        found = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [m["params"]["request"]["url"] for m in found if m["method"] == "Network.requestWillBeSent"]

    def choose(self, identity: str, value: str) -> None:
        self.run(
            "const s = document.getElementById(arguments[0]); s.value = arguments[1];"
            "s.dispatchEvent(new Event(s.tagName === 'INPUT' ? 'input' : 'change'))",
            identity,
            value,
        )

    def shoot(self, name: str) -> None:
        """The whole page as pictures of 2,000 pixels, if anybody wants to look."""
        folder = os.environ.get("TRAITCAST_SCREENSHOTS")
        if not folder:
            return
        width, height = self.run("return [innerWidth, document.documentElement.scrollHeight]")
        for part, top in enumerate(range(0, height, 2000)):
            clip = {"x": 0, "y": top, "width": width, "height": min(2000, height - top), "scale": 1}
            made = self.command("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
            (Path(folder) / f"{name}-{part}.png").write_bytes(base64.b64decode(made["data"]))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    pytest.importorskip("selenium", reason="selenium drives the browser: pip install 'traitcast[test]'")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    binary = next((path for name in _NAMES if (path := shutil.which(name))), None)
    chromedriver = shutil.which("chromedriver")
    if binary is None or chromedriver is None:
        pytest.skip("no Chromium with chromedriver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    if os.geteuid() == 0:
        # Chromium's sandbox refuses to work for root. The pages are our own files.
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(chromedriver))
    driver.set_script_timeout(60)
    yield Browser(driver)
    driver.quit()


@pytest.fixture(scope="session")
def write_page(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write the report of a warehouse file and say where it is."""
    from traitcast.predictor.report.page import render
    from traitcast.predictor.report.sections import Request, gather

    def write(warehouse_path: Path, **request: Any) -> Path:
        with Warehouse.open(warehouse_path, read_only=True) as warehouse:
            text = render(gather(warehouse, Request(**request)))
        file = tmp_path_factory.mktemp("page") / "report.html"
        file.write_text(text, encoding="utf-8")
        return file

    return write


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory, write_page: Callable[..., Path]) -> Path:
    """A page with a made-up matrix of 84 x 84 datasets and three seeds over the shipped profiles."""
    path = tmp_path_factory.mktemp("large") / "large.duckdb"
    with Warehouse.open(path) as warehouse:
        _save_planted(warehouse)
    return write_page(path, matrix="planted")


@pytest.fixture(scope="session")
def with_traits(tmp_path_factory: pytest.TempPathFactory, write_page: Callable[..., Path]) -> Path:
    """A page with a predictor that uses traits: one of a made-up matrix of 16 x 16 datasets in which traits decide."""
    from traitcast.predictor.api import fit_into

    path = tmp_path_factory.mktemp("traits") / "traits.duckdb"
    with Warehouse.open(path) as warehouse:
        _save_planted(warehouse, datasets=16)
        fit_into(warehouse, matrix="planted")
    return write_page(path, matrix="planted")


def _save_planted(warehouse: Warehouse, datasets: int | None = None) -> None:
    import pyarrow as pa

    from traitcast.predictor.api import profiles_of

    cells = load_benchmark("planted").planted(profiles_of(warehouse), datasets=datasets)
    targets = sorted(set(cells.targets))
    columns = {
        "model": [*cells.models, *(["made up"] * len(targets))],
        "source": [*cells.sources, *([""] * len(targets))],
        "target": [*cells.targets, *targets],
        "seed": pa.array([*cells.seeds.tolist(), *([0] * len(targets))], pa.int64()),
        "score": [*cells.score.tolist(), *([0.5] * len(targets))],
    }
    rows = pa.table(columns)
    for name, value, kind in (
        ("metric", "accuracy", pa.string()),
        ("n", 200, pa.int64()),
        ("standard_error", 0.03, pa.float64()),
    ):
        rows = rows.append_column(name, pa.array([value] * rows.num_rows, kind))
    warehouse.save_scores(cells.matrix, rows)
