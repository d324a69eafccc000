"""The front door: quick to open, and the commands and the API behind it."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("statement", "packages", "most"),
    [
        ("import traitcast", ["traitcast"], 60),
        ("import traitcast.cli; traitcast.cli.cli(['--help'], standalone_mode=False)", ["click", "traitcast"], 250),
        ("import traitcast.cli; traitcast.cli.cli(['rank', '-h'], standalone_mode=False)", ["click", "traitcast"], 250),
    ],
)
def test_nothing_heavy_is_imported(statement: str, packages: list[str], most: int) -> None:
    """Keeps the import under 100 ms and --help under 200: no package but click, and no more modules than they need."""
    code = (
        f"import sys; before = set(sys.modules)\n{statement}\n"
        "made = set(sys.modules) - before\n"
        "print(len(made), *sorted({name.partition('.')[0] for name in made} - sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    count, *found = done.stdout.splitlines()[-1].split()
    assert found == packages
    assert int(count) < most


@pytest.mark.parametrize("option", [["--roles", "text=x"], ["--roles=text=x"]])
@pytest.mark.parametrize("command", ["check", "filter"])
def test_roles_need_no_quotes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: list[str], command: str) -> None:
    from click.testing import CliRunner

    from traitcast.cli import cli

    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd.csv").write_text("x,y\n" + "one text,a\nanother text,b\n" * 2)
    more = ["--drop", "exact_duplicate", "--out", "new"] if command == "filter" else []
    done = CliRunner().invoke(cli, [command, "odd.csv", *option, "label=y", *more])
    assert done.exit_code == 0, done.output
    assert "text_fields x, label_field y" in done.stderr
    mistyped = CliRunner().invoke(cli, [command, "odd.csv", *option, "labl=y", *more])
    assert mistyped.exit_code == 2
    (tmp_path / "label=y").mkdir()
    assert "label=y holds no data file" in CliRunner().invoke(cli, ["check", *option, "label=y"]).stderr


def test_the_list_of_commands_has_a_whole_summary_for_each() -> None:
    from click.testing import CliRunner

    from traitcast.cli import cli

    printed = CliRunner().invoke(cli, ["--help"], env={"COLUMNS": "80"}).stdout
    listed = printed.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed] == cli.list_commands(click.Context(cli))
    assert not [line for line in listed if line.endswith("...")]
    assert "  show           Show one profile: its findings and what is unusual about it" in listed


def test_every_command_has_an_example_in_its_help() -> None:
    import click

    import traitcast.cli

    def leaves(command: click.Command) -> list[click.Command]:
        if isinstance(command, click.Group):
            return [leaf for child in command.commands.values() for leaf in leaves(child)]
        return [command]

    for command in leaves(traitcast.cli.cli):
        assert "traitcast " in (command.help or ""), command.name


def test_the_shipped_profiles_were_measured_by_this_catalogue(tmp_path: Path) -> None:
    from traitcast.profiler.traits.catalogue import CATALOGUE, VERSION
    from traitcast.warehouse.database.warehouse import Warehouse

    with Warehouse.open(tmp_path / "missing.duckdb", read_only=True) as warehouse:
        versions = {row["catalogue_version"] for row in warehouse.datasets()}
        assert versions == {VERSION}, "the reference data is of another catalogue; run: make reference"
        assert warehouse.catalogue() == CATALOGUE, "the shipped catalogue is not that of the code; run: make reference"


def test_one_name_is_no_list_of_sources(tmp_path: Path) -> None:
    import traitcast.cli

    with pytest.raises(traitcast.UserError, match=r"sources 'sst2' is one name, not a list\. Write \['sst2'\]\."):
        traitcast.rank("mnli", "sst2", warehouse=tmp_path / "none.duckdb")


def test_rank_warns_of_candidates_of_an_older_catalogue(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import traitcast.cli
    from traitcast.warehouse.database.warehouse import Warehouse

    path = tmp_path / "users.duckdb"
    with Warehouse.open(path) as warehouse:
        profile = warehouse.profile("mnli")
        warehouse.save_profile(dataclasses.replace(profile, name="mine", details={"catalogue_version": 0}))
    assert "mine" in [found.source for found in traitcast.rank("rte", warehouse=path)]
    assert "'mine' was measured with older trait definitions (version 0)" in capsys.readouterr().err


def test_it_works_beside_packages_of_the_same_names_and_they_beside_it(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "__init__.py").write_text("MINE = True\n")
    (tmp_path / "predictor.py").write_text("MINE = True\n")
    code = "import training, predictor, traitcast.training.cli; print(training.MINE, predictor.MINE)"
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout == "True True\n"
    run = subprocess.run(
        [sys.executable, "-m", "traitcast", "--version"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith("traitcast, version ")


def test_the_module_shows_its_interface_and_the_errors_to_catch() -> None:
    import traitcast.cli
    import traitcast.warehouse.errors

    assert dir(traitcast) == sorted(traitcast.__all__)
    tree = vars(traitcast.warehouse.errors).values()
    errors = {kind.__name__ for kind in tree if isinstance(kind, type) and issubclass(kind, Exception)}
    assert "UserError" in errors < set(dir(traitcast))
    assert traitcast.UserError is traitcast.warehouse.errors.UserError
    with pytest.raises(traitcast.InputError):
        traitcast.profile("missing.jsonl")
    with pytest.raises(AttributeError, match="no attribute 'nearest'"):
        _ = traitcast.nearest


def test_narration_can_be_switched_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import traitcast.cli

    rows = "".join(f'{{"text": "Bike {i} is flat.", "label": "same"}}\n' for i in range(20))
    (tmp_path / "bikes.jsonl").write_text(rows)
    traitcast.profile(str(tmp_path / "bikes.jsonl"), warehouse=tmp_path / "w.duckdb")
    assert "roles inferred" in capsys.readouterr().err
    monkeypatch.setenv("TRAITCAST_QUIET", "1")
    traitcast.profile(str(tmp_path / "bikes.jsonl"), warehouse=tmp_path / "w.duckdb", seed=1)
    assert capsys.readouterr().err.splitlines() == [
        "warning: bikes: labels are nearly constant: 100.0% of the rows have the same one"
    ]


def test_matrix_by_its_earlier_name_warns(tmp_path: Path) -> None:
    import traitcast.cli

    path = tmp_path / "none.duckdb"
    with pytest.warns(DeprecationWarning, match="scores= is now called matrix="):
        old = traitcast.effects("sst2", scores="smollm2_cpu", warehouse=path)  # type: ignore[call-arg]
    assert old.gains == traitcast.effects("sst2", matrix="smollm2_cpu", warehouse=path).gains
    with pytest.raises(TypeError, match="give matrix= only"):
        traitcast.effects("sst2", scores="a", matrix="b", warehouse=path)  # type: ignore[call-arg]


def test_a_misspelt_option_is_named_in_python(tmp_path: Path) -> None:
    import traitcast

    path = tmp_path / "new.duckdb"
    with pytest.raises(
        TypeError, match=r"unexpected keyword argument 'top'\. Options of reading are name, split, spec"
    ):
        traitcast.rank("sst2", top=3, warehouse=path)
    with pytest.raises(TypeError, match="unexpected keyword argument 'row'; did you mean 'rows'"):
        traitcast.profile([{"text": "a", "label": "b"}], row=5)
    assert not path.exists()
