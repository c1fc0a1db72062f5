"""A hub and a web server on this machine, with faults that a test switches on.

    def test_...(server):  # the fixture of tests/data

    commit = server.publish("someone/books", {"en/a.jsonl.gz": content})   # a data set of the hub, with its digests
    address = server.put("lists/urls.txt", b"a.jsonl")                     # a file of the web
    server.fails("a.jsonl.gz", [status(503), status(503), drops(100)])     # the next answers to addresses that end so
    server.fails("a.jsonl.gz", repeat(status(503)))                        # all of them
    server.replace("a.jsonl.gz", content[:100])                            # another file than was published

``serving`` sets HF_ENDPOINT and takes the waiting between attempts out of this process: ``server.waits`` has the
seconds that it would have taken. Processes that it starts see the first, but wait. ``server.requests`` are the paths
asked for with their headers; ``server.ranges`` and ``server.elsewhere`` say whether it knows of ranges, and whether its
files lie on another host, as the hub's do.
"""

import hashlib
import json
import threading
from collections import defaultdict
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from urllib.parse import parse_qs, unquote, urlsplit

import huggingface_hub

from repro.data.files import network

PAGE = 2  # files to a page of a listing; the hub has 1000


@contextmanager
def serving(monkeypatch):
    """A :class:`Server` that this process takes for the hub."""
    server = Server()
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr(network, "sleep", server.waits.append)
    huggingface_hub.close_session()  # it may have been opened with a proxy
    try:
        yield server
    finally:
        huggingface_hub.close_session()
        server.close()


class Server:
    """One of them; see this module."""

    def __init__(self):
        self.files = {}  # content, by path
        self.repositories = {}  # name -> {"commit", "gated", "files": entries of the listing}
        self.faults = defaultdict(lambda: iter(()))
        self.requests, self.waits = [], []
        self.ranges, self.elsewhere = True, False
        self.closed = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"play": self}))
        self.port = self._http.server_port
        self.address = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self):
        """Stop answering."""
        self.closed.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def publish(self, repository, files, *, small=(), gated=None):
        """A data set of the hub, at the commit that is returned; it has no sha256 of the files that are ``small``.

        ``gated`` is the status, 401 or 403, with which it then refuses its files.
        """
        commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        entries = [{"type": "directory", "path": "en", "oid": "0" * 40, "size": 0}]
        for name, content in files.items():
            entry = {"type": "file", "path": name, "oid": hashlib.sha1(content).hexdigest(), "size": len(content)}
            if name not in small:
                sha256 = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 134}
            entries.append(entry)
            self.files[f"/datasets/{repository}/resolve/{commit}/{name}"] = content
        self.repositories[repository] = {"commit": commit, "gated": gated, "files": entries}
        return commit

    def put(self, path, content):
        """A file of the web, at the address that is returned."""
        self.files[f"/{path}"] = content
        return f"{self.address}/{path}"

    def fails(self, end, faults):
        """What the next answers to addresses that end with ``end`` are instead."""
        self.faults[end] = chain(self.faults[end], faults)

    def replace(self, end, content):
        """Have another content than was published."""
        (path,) = [path for path in self.files if path.endswith(end)]
        self.files[path] = content

    def asked(self, end):
        """The headers of each request whose path ends with ``end``."""
        return [headers for path, headers in self.requests if path.endswith(end)]


def status(code, **headers):
    """A fault: a status without what was asked for."""
    return lambda handler, content: handler.send(code, {name.replace("_", "-"): v for name, v in headers.items()})


def drops(after):
    """A fault: the connection ends after so many bytes."""
    return lambda handler, content: handler.send_file(content, until=after)


def stalls():
    """A fault: no answer, for as long as the server lives."""
    return lambda handler, content: handler.play.closed.wait()


class _Handler(BaseHTTPRequestHandler):
    play: Server

    def log_message(self, *args):
        """Keep quiet."""

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        self.play.requests.append((path, {name.title(): value for name, value in self.headers.items()}))
        fault = next((fault for end in list(self.play.faults) if path.endswith(end) for fault in self.fault(end)), None)
        content = self.play.files.get(path.removeprefix("/elsewhere"))
        if fault:
            fault(self, content)
        elif path.startswith("/api/datasets/"):
            self.send_api(*urlsplit(self.path).path.removeprefix("/api/datasets/").rsplit("/", 2))
        elif refused := self.gate(path):
            self.send(refused, {"X-Error-Code": "GatedRepo"})
        elif content is None:
            self.send(404, {"X-Error-Code": "EntryNotFound"})
        elif self.play.elsewhere and not path.startswith("/elsewhere"):
            self.send(302, {"Location": f"http://localhost:{self.play.port}/elsewhere{path}"})
        else:
            self.send_file(content)

    def fault(self, end):
        fault = next(self.play.faults[end], None)
        return [fault] if fault else []

    def gate(self, path):
        for name, repository in self.play.repositories.items():
            if path.startswith(f"/datasets/{name}/"):
                return repository["gated"]
        return None

    def send_api(self, name, kind, revision):
        repository = self.play.repositories.get(name)
        if repository is None:
            self.send(401, {"X-Error-Code": "RepoNotFound"})
        elif unquote(revision) not in ("main", repository["commit"]):
            self.send(404, {"X-Error-Code": "RevisionNotFound"})
        elif kind == "revision":
            self.send_json({"id": name, "sha": repository["commit"], "siblings": [], "tags": []})
        else:
            self.send_page(repository["files"])

    def send_page(self, entries):
        number = int(parse_qs(urlsplit(self.path).query).get("page", ["0"])[0])
        after = f"{self.play.address}{urlsplit(self.path).path}?recursive=true&page={number + 1}"
        more = {"Link": f'<{after}>; rel="next"'} if len(entries) > (number + 1) * PAGE else {}
        self.send_json(entries[number * PAGE : (number + 1) * PAGE], more)

    def send_json(self, value, headers=()):
        self.send(200, {"Content-Type": "application/json", **dict(headers)}, json.dumps(value).encode())

    def send_file(self, content, until=None):
        asked = self.headers.get("Range", "")
        if not asked or not self.play.ranges:
            return self.send(200, {}, content, until)
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start >= len(content):
            return self.send(416, {"Content-Range": f"bytes */{len(content)}"})
        part = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        return self.send(206, part, content[start:], until)

    def send(self, code, headers, content=b"", until=None):
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[:until])
