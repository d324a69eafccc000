"""A hub of one dataset over HTTP, as far as the libraries of the hub ask it; run by tests, never a test itself."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """Answers for `repo` at the revisions main, v1 and COMMIT. files: path -> content. seen: paths asked for."""

    protocol_version = "HTTP/1.1"
    repo = "org/shop"
    files: Mapping[str, bytes] = {}
    seen: list[str] = []  # noqa: RUF012  # each `serve` makes a class of its own

    def log_message(self, *arguments: Any) -> None:
        """No log on stderr."""

    def do_GET(self) -> None:
        """Metadata, listings and files."""
        path = unquote(urlsplit(self.path).path)
        self.seen.append(path)
        api, files = f"/api/datasets/{self.repo}", f"/datasets/{self.repo}/resolve/"
        if path == api or path.startswith(f"{api}/revision/"):
            self._about(path.removeprefix(api).removeprefix("/revision/") or "main")
        elif path.startswith(f"{api}/tree/"):
            self._json(self._tree(path.removeprefix(f"{api}/tree/").partition("/")[2]))
        elif path.startswith(files) and (name := path.removeprefix(files).partition("/")[2]) in self.files:
            self._file(self.files[name])
        else:
            code = "EntryNotFound" if path.startswith(files) else "RepoNotFound"
            self._send(404, b"{}", {"X-Error-Code": code})

    do_HEAD = do_GET  # noqa: N815  # the name is the library's

    def _about(self, revision: str) -> None:
        if revision not in ("main", "v1", COMMIT):
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            return
        siblings = [{"rfilename": name} for name in self.files]
        self._json({"id": self.repo, "sha": COMMIT, "private": False, "gated": False, "tags": [], "siblings": siblings})

    def _tree(self, folder: str) -> list[dict[str, Any]]:
        inside = folder + "/" if folder else ""
        names = [name for name in self.files if name.startswith(inside) and "/" not in name.removeprefix(inside)]
        return [{"type": "file", "path": n, "oid": _oid(self.files[n]), "size": len(self.files[n])} for n in names]

    def _file(self, content: bytes) -> None:
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{_oid(content)}"', "Accept-Ranges": "bytes"}
        asked = self.headers.get("Range")
        if asked is None:
            self._send(200, content, headers)
            return
        low, _, high = asked.removeprefix("bytes=").partition("-")
        part = content[int(low) : int(high) + 1 if high else None]
        headers["Content-Range"] = f"bytes {low}-{int(low) + len(part) - 1}/{len(content)}"
        self._send(206, part, headers)

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def serve(files: Mapping[str, bytes]) -> Iterator[tuple[str, list[str]]]:
    """(address, paths asked for) of a running hub."""
    seen: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Served", (Hub,), {"files": files, "seen": seen}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
