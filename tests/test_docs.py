"""README.md and the tutorial: their commands run one after the other and print what the page shows, digits apart;
links lead somewhere."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

import traitcast
from traitcast.cli import cli
from traitcast.profiler.traits.catalogue import CATALOGUE, PAIRS

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
# The lab log is about the code as it was.
CURRENT = [page for page in PAGES if page.name != "lab.md"]
FOLDERS = "profiler|predictor|training|warehouse|traitcast|tests|benchmarks|examples|docs"
EXECUTED = ("README.md", "docs/tutorial.md")
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of a reader: it holds the example, and no warehouse yet."""
    shutil.copytree(ROOT / "examples" / "support_tickets", tmp_path / "support_tickets")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRAITCAST_WAREHOUSE", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(traitcast, "_WAREHOUSE", "traitcast.duckdb")
    return tmp_path


@pytest.mark.parametrize("page", EXECUTED)
def test_a_page_shows_what_its_commands_print(page: str, folder: Path) -> None:
    blocks = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    assert any("$ traitcast profile" in body for _, body in blocks)
    for kind, body in blocks:
        if kind == "python":
            exec(compile(body, page, "exec"), {})
            continue
        for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", body, re.MULTILINE):
            name, *words = shlex.split(command)
            assert name == "traitcast", command
            result = CliRunner().invoke(cli, words)
            assert result.exit_code == 0, (command, result.stderr)
            assert plain(result.stdout).startswith(plain(shown.partition("\n...")[0])), (
                f"{page} no longer shows what {command!r} prints. Write it anew: make docs\n{result.stdout}"
            )


def plain(text: str) -> str:
    """The words of a text: numbers as #, any white space as one blank, no rules under the heads of tables."""
    return " ".join(re.sub(r"-?\d[\d.,]*(e[-+]?\d+)?", "#", re.sub(r"-{2,}", "", text)).split())


def test_the_digits_of_a_page_may_differ_and_its_words_may_not() -> None:
    assert plain("a  b\n---\n1.5  -2e-05\n") == plain("a b\n-----\n12 3")
    assert plain("gain 1") != plain("gains 1")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, heading = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), f"{page.name}: {link} leads nowhere"
        if heading:
            assert heading in headings(target), f"{page.name}: {link} names no heading"


def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub and the site make them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", title.lower()).strip()) for title in titles}


@pytest.mark.parametrize("page", CURRENT, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_options_targets_and_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    code = re.findall(r"^```(?:sh|console)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    lines = [line for block in code for line in block.replace("\\\n", " ").splitlines()] + re.findall(
        r"`([^`\n]+)`", text
    )
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for line in lines:
        for words in re.findall(r"\btraitcast ([a-z][^|&;#]*)", line):
            check_command(words, page)
        for target in re.findall(r"^make ([a-z-]+)", line):
            assert target in targets, f"{page.name}: make {target}"
        for file in re.findall(rf"(?:^|[\s(])((?:{FOLDERS})/[\w/]+\.(?:py|md|json|ya?ml|parquet|sh))", line):
            assert (ROOT / file).is_file(), f"{page.name}: {file}"


def check_command(words: str, page: Path) -> None:
    """That a command of the root is there, and that each option is one of it."""
    command: click.Command = cli
    for word in re.split(r"\s+", words):
        name = word.strip("`'\"(),.:")
        if isinstance(command, click.Group) and not word.startswith("-"):
            assert name in command.commands, f"{page.name}: traitcast {words}: no command {name!r}"
            command = command.commands[name]
        elif word.startswith("--"):
            options = {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
            option = name.partition("=")[0]
            assert option in options | {"--help"}, f"{page.name}: traitcast {words}: no option {option!r}"


def test_numbers_of_the_readme_that_nothing_generates() -> None:
    pairs = sum(definition.family == PAIRS for definition in CATALOGUE)
    counted = f"measures {len(CATALOGUE)} traits of text datasets ({pairs} of them of preference pairs only)"
    for page in ("README.md", "docs/index.md"):
        assert counted in " ".join((ROOT / page).read_text(encoding="utf-8").split())


def test_the_readme_fits_on_a_few_screens() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_site_has_every_page() -> None:
    class Loader(yaml.SafeLoader):
        """Reads what names Python objects as nothing."""

    Loader.add_multi_constructor("", lambda *_: None)
    site = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader)
    pages = set(re.findall(r"[\w/]+\.md", str(site["nav"])))
    assert pages == {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}


def test_blocks_of_the_api_are_lines_of_their_own() -> None:
    lines = (ROOT / "docs/reference/python.md").read_text(encoding="utf-8").splitlines()
    blocks = [line for line in lines if ":::" in line]
    assert blocks
    assert [line for line in blocks if not re.fullmatch(r"::: [\w.]+", line)] == []
