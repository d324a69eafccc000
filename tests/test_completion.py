"""`traitcast completion`: the scripts of click, and what they ask for."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from traitcast.cli import cli


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("bash", "complete -o nosort -F _traitcast_completion traitcast"),
        ("zsh", "#compdef traitcast"),
        ("fish", "complete --no-files --command traitcast"),
    ],
)
def test_the_script_of_a_shell(shell: str, line: str) -> None:
    result = CliRunner().invoke(cli, ["completion", shell])
    assert result.exit_code == 0
    assert line in result.stdout
    assert f"_TRAITCAST_COMPLETE={shell}_complete" in result.stdout


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("traitcast expl", ["plain,explain"]),
        ("traitcast matrix st", ["plain,status"]),
        ("traitcast evaluate --protocol new-p", ["plain,new-pair"]),
        ("traitcast rank --so", ["plain,--sources"]),
    ],
)
def test_words_are_completed(words: str, completed: list[str]) -> None:
    asked = {"_TRAITCAST_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    result = CliRunner().invoke(cli, [], prog_name="traitcast", env=asked)
    assert result.stdout.split() == completed
