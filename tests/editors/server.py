"""yaml-language-server, spoken to over LSP as an editor does."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from pathlib import Path
from typing import Any, Self

from tests.lab.patience import LONG

PROGRAM = "node_modules/yaml-language-server/bin/yaml-language-server"


class Server:
    """A server in ``folder``, below which its package is installed, that knows one schema."""

    def __init__(self, folder: Path, schema: Path) -> None:
        self._settings = {
            "yaml": {
                "schemas": {schema.as_uri(): "*"},
                "schemaStore": {"enable": False},
                "validate": True,
                "completion": True,
                "hover": True,
            }
        }
        self._process = subprocess.Popen(
            ["node", str(folder / PROGRAM), "--stdio"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._heard: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self._number = 0
        self._versions = 0
        capabilities = {
            "workspace": {"configuration": True},
            "textDocument": {"completion": {"completionItem": {"snippetSupport": True}}},
        }
        asked = {"processId": None, "rootUri": folder.as_uri(), "capabilities": capabilities}
        self._ask("initialize", asked)
        self._tell("initialized", {})
        self._tell("workspace/didChangeConfiguration", {"settings": self._settings})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(LONG)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()

    def diagnostics(self, text: str, path: Path | None = None) -> list[dict[str, Any]]:
        """What the editor underlines in a file with this text; ``path``: where it lies."""
        uri = self._opened(text, path)
        return list(self._awaited("textDocument/publishDiagnostics", uri)["params"]["diagnostics"])

    def completions(self, text: str, line: int, column: int) -> list[dict[str, Any]]:
        """What the editor offers at a place, both counted from 0."""
        uri = self._opened(text)
        place = {"textDocument": {"uri": uri}, "position": {"line": line, "character": column}}
        found = self._ask("textDocument/completion", place)
        return list(found["items"] if isinstance(found, dict) else found)

    def _opened(self, text: str, path: Path | None = None) -> str:
        self._versions += 1
        uri = path.as_uri() if path else f"file:///{self._versions}/site.yaml"
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._tell("textDocument/didOpen", {"textDocument": document})
        return uri

    def _ask(self, method: str, params: Any) -> Any:
        self._number += 1
        self._send({"id": self._number, "method": method, "params": params})
        while True:
            message = self._next()
            if message.get("id") == self._number and "method" not in message:
                assert "error" not in message, message
                return message["result"]

    def _tell(self, method: str, params: Any) -> None:
        self._send({"method": method, "params": params})

    def _awaited(self, method: str, uri: str) -> dict[str, Any]:
        while True:
            message = self._next()
            if message.get("method") == method and message["params"]["uri"] == uri:
                return message

    def _next(self) -> dict[str, Any]:
        """The next message; what the server asks meanwhile is answered."""
        while True:
            message = self._heard.get(timeout=LONG)
            if "method" not in message or "id" not in message:
                return message
            result: Any = None
            if message["method"] == "workspace/configuration":
                items = message["params"]["items"]
                result = [self._settings.get(item.get("section", "")) for item in items]
            self._send({"id": message["id"], "result": result})

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._process.stdin.flush()

    def _listen(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while header := stream.readline():
            size = int(header.partition(b":")[2])
            while stream.readline().strip():
                continue
            self._heard.put(json.loads(stream.read(size)))
