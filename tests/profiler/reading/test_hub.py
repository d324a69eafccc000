"""Hub datasets: the same code reads a local folder in the hub's layout; errors come from a real HTTP server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.profiler.reading.hub_server import serve
from traitcast.profiler.reading.hub import hub_source, resolve_commit
from traitcast.profiler.reading.reader import read
from traitcast.warehouse.errors import InputError

README = """---
configs:
- config_name: reviews
  data_files:
  - split: train
    path: reviews/train.jsonl
  - split: test
    path: reviews/test.jsonl
- config_name: questions
  data_files: questions.jsonl
---
Two configurations of rows written for this test.
"""
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset repository as `git clone` leaves it, and a cache of its own."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    root = tmp_path / "shop"
    (root / "reviews").mkdir(parents=True)
    (root / "README.md").write_text(README)
    rows = [{"text": f"review {i}", "label": i % 2, "id": i} for i in range(5)]
    for split, kept in (("train", rows), ("test", rows[:2])):
        (root / "reviews" / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept))
    (root / "questions.jsonl").write_text('{"question": "who", "answer": "me"}\n' * 2)
    return root


def test_a_repository_in_the_hub_layout(repository: Path) -> None:
    examples = read(repository, config="reviews")
    assert (examples.name, examples.split, examples.rows) == ("shop_reviews", "train", 5)
    assert examples.splits == {"train": 5, "test": None}
    assert (examples.origin, examples.revision) == (str(repository), None)
    assert examples.table["fields"].to_pylist()[0] == ["review 0"]
    assert examples.spec.label_field == "label"
    assert read(repository, config="reviews", split="test").rows == 2
    assert read(repository, config="questions").spec.answer_field == "answer"


def test_hub_and_file_readers_agree(repository: Path) -> None:
    assert read(repository, config="reviews").fingerprint == read(repository / "reviews").fingerprint


def test_class_labels_of_a_hub_dataset(repository: Path) -> None:
    features = """dataset_info:
- config_name: reviews
  features:
  - name: text
    dtype: string
  - name: label
    dtype:
      class_label:
        names:
          '0': bad
          '1': good
  - name: id
    dtype: int64
"""
    (repository / "README.md").write_text(README.replace("---\nTwo", f"{features}---\nTwo"))
    examples = read(repository, config="reviews")
    assert examples.spec.label_names == ("bad", "good")
    assert examples.table["label"].to_pylist() == ["bad", "good", "bad", "good", "bad"]


def test_configurations_are_listed(repository: Path) -> None:
    with pytest.raises(InputError, match=r"choose one with --config: reviews, questions"):
        hub_source(str(repository))
    with pytest.raises(InputError, match=r"has no configuration 'review'; did you mean 'reviews'\? It has: reviews"):
        hub_source(str(repository), config="review")
    with pytest.raises(InputError, match=r"no split 'validation'\. Its splits: train, test"):
        read(repository, config="reviews", split="validation")


def test_a_loading_script_is_never_run(repository: Path, tmp_path: Path) -> None:
    scripted = tmp_path / "scripted"
    scripted.mkdir()
    mark = tmp_path / "ran"
    (scripted / "scripted.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    with pytest.raises(InputError, match=r"never run|without running code"):
        read(scripted, config="default")
    assert not mark.exists()


def test_broken_files_of_a_repository(repository: Path) -> None:
    (repository / "reviews" / "test.jsonl").write_text('{"text": "a", "other": 1}\n')
    with pytest.raises(InputError, match=r"shop was found, but its files cannot be read: Couldn't cast$"):
        read(repository, config="reviews", split="test", stream=5)
    (repository / "reviews" / "train.jsonl").write_text('{"text": "a"}\n{"text": \n')
    with pytest.raises(InputError, match=r"shop was found, but its files cannot be read: .*in row 1$"):
        read(repository, config="reviews")


def test_a_stream_draws_rows_that_are_not_the_head(repository: Path) -> None:
    rows = [{"text": f"review {i}", "label": i % 2, "id": i} for i in range(3000)]
    (repository / "reviews" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    examples = read(repository, config="reviews", stream=200, seed=3)
    texts = [fields[0] for fields in examples.table["fields"].to_pylist()]
    assert len(set(texts)) == 200
    assert len(set(texts) & {row["text"] for row in rows[:200]}) < 50
    assert examples.warnings[0].endswith("are those of the 200 rows drawn, not of the whole dataset")
    assert read(repository, config="reviews", stream=200, seed=3).fingerprint == examples.fingerprint
    assert read(repository, config="reviews", stream=200, seed=4).fingerprint != examples.fingerprint
    assert read(repository, config="reviews", split="test", stream=200).rows == 2


def test_class_labels_in_lists(repository: Path) -> None:
    features = """dataset_info:
- config_name: questions
  features:
  - name: text
    dtype: string
  - name: labels
    list:
      class_label:
        names:
          '0': calm
          '1': angry
"""
    (repository / "README.md").write_text(README.replace("---\nTwo", f"{features}---\nTwo"))
    (repository / "questions.jsonl").write_text('{"text": "who", "labels": [0, 1]}\n{"text": "me", "labels": [0]}\n')
    assert read(repository, config="questions").table["response"].to_pylist() == ["calm, angry", "calm"]


class Hub(BaseHTTPRequestHandler):
    """The one request that `resolve_commit` makes, with the answers of the real hub."""

    def do_GET(self) -> None:
        errors = {"gone": (404, "RepoNotFound"), "gated": (403, "GatedRepo"), "old": (404, "RevisionNotFound")}
        for word, (status, code) in errors.items():
            if word in self.path:
                self.send_response(status)
                self.send_header("X-Error-Code", code)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        body = json.dumps({"id": "org/name", "sha": COMMIT, "tags": [], "siblings": []}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the request log out of the test output."""


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    from huggingface_hub import constants

    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        yield address
        server.shutdown()
        thread.join()


def test_the_commit_is_resolved(endpoint: str) -> None:
    assert resolve_commit("org/name") == resolve_commit("org/name", "main") == COMMIT


@pytest.mark.parametrize(
    ("repo", "revision", "message"),
    [
        ("org/gone", None, r"no file or folder 'org/gone' here, and no dataset of that id on the hub .*hf auth login"),
        ("org/gated", None, r"org/gated is gated: accept its terms at https://huggingface\.co/datasets/org/gated"),
        ("org/name", "old", r"org/name has no revision 'old'; see https://.*/org/name/commits/main"),
        ("a" * 97 + "/b", None, r"no dataset of that id on the hub"),
    ],
)
def test_hub_refusals(endpoint: str, repo: str, revision: str | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(repo, revision=revision)


def test_a_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    # Port 9 (discard) of this machine: refused at once, no name to look up.
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        InputError, match=r"no file or folder 'org/name' here, and the hub cannot be reached .*local copy"
    ):
        read("org/name")


def test_offline_mode_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"cannot fetch org/name: HF_HUB_OFFLINE is set"):
        read("org/name")


# The address of the hub is read when its library is imported, so this runs in a process of its own.
_READ = """
import json, sys
from traitcast.profiler import leakage
from traitcast.profiler.text.distinct import HashCounts
from traitcast.profiler.reading.reader import read
from traitcast.warehouse.errors import InputError

def told(**options):
    try:
        found = read(options.pop("repo", "org/shop"), **options)
    except InputError as error:
        return str(error)
    others = leakage.other_splits(found)
    return {
        "name": found.name, "split": found.split, "rows": found.rows, "splits": dict(found.splits),
        "revision": found.revision, "fingerprint": found.fingerprint, "others": dict(others.rows),
        "reasons": dict(others.reasons), "shares": others.leaks(HashCounts.of(leakage.scanned(found.table).texts))[1],
    }

json.dump([told(**options, **({"stream": 20} if n == 3 else {})) for n, options in enumerate((
    {"config": "reviews"},
    {"config": "reviews", "split": "test", "revision": "v1"},
    {"config": "questions"},
    {"config": "reviews"},
    {},
    {"config": "reviews", "revision": "nope"},
    {"repo": "org/none"},
))], sys.stdout)
"""


def test_a_hub_over_http(tmp_path: Path) -> None:
    rows = [json.dumps({"text": f"review {i}", "label": i % 2}) + "\n" for i in range(55)]
    files = {
        "README.md": README.encode(),
        "reviews/train.jsonl": "".join(rows[:50]).encode(),
        "reviews/test.jsonl": "".join(rows[45:]).encode(),
        "questions.jsonl": b'{"question": "who", "answer": "me"}\n' * 3,
    }
    with serve(files) as (address, seen):
        where = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0", "no_proxy": "127.0.0.1"}
        environment = {**os.environ, **where, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", _READ], env=environment, capture_output=True, text=True, check=True
        )
    train, test, questions, streamed, several, revision, missing = json.loads(done.stdout)
    assert (train["name"], train["split"], train["rows"]) == ("shop_reviews", "train", 50)
    assert train["revision"] == test["revision"] == COMMIT
    assert (test["split"], test["rows"]) == ("test", 10)
    assert (questions["name"], questions["rows"], questions["others"]) == ("shop_questions", 3, {})
    # Five of ten prompts of the test split stand in train; the files came with the dataset.
    assert (train["others"], train["shares"], train["reasons"]) == ({"test": 10}, {"test": 0.5}, {})
    assert sum(path.endswith("reviews/test.jsonl") for path in seen) <= 4
    assert (streamed["rows"], streamed["others"]) == (20, {})
    assert streamed["reasons"] == {"test": "a stream reads one split"}
    assert "choose one with --config: reviews, questions" in several
    assert "org/shop has no revision 'nope'" in revision
    assert "no dataset of that id on the hub" in missing
