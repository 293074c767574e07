"""moto's server that writes down each request: ``python -m bench.builder.counting_moto FILE PORT``.

Only the server sees all contestants alike. A line says when the answer was there (seconds of the system's monotonic
clock), the method, the path, the names in its query, and how many bytes came.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from moto.moto_server import threaded_moto_server
from moto.moto_server.werkzeug_app import DomainDispatcherApplication

from local import moto_process

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def main() -> None:
    """Serve until standard input ends."""
    log = Path(sys.argv[1]).open("w", buffering=1)  # noqa: SIM115 - for as long as the process lives

    class Counting(DomainDispatcherApplication):
        def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            answer: Iterable[bytes] = super().__call__(environ, start_response)
            names = ",".join(name for name, _ in parse_qsl(environ["QUERY_STRING"], keep_blank_values=True)) or "-"
            size = environ.get("CONTENT_LENGTH") or 0
            log.write(f"{time.monotonic()} {environ['REQUEST_METHOD']} {environ['PATH_INFO']} {names} {size}\n")
            return answer

    threaded_moto_server.DomainDispatcherApplication = Counting  # type: ignore[attr-defined]
    moto_process.main()


if __name__ == "__main__":
    main()
