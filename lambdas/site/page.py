"""``index.html``: the lines to copy, the keys to trust, the counts. Rendered whole: it says all without a script.

I5: what is put into it is a key that was parsed, a number that was counted, or the configuration; nothing of a builder.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from lambdas.site.markup import Markup, fill, join
from lambdas.site.status import Status, timestamp
from protocol.public_keys import AnnouncedKey

_HERE: Final = Path(__file__).parent
_PAGE: Final = (_HERE / "page.html").read_text(encoding="utf-8")
# Whole and unchanged: the distribution's Content-Security-Policy knows them by their hashes.
_STYLE: Final = Markup((_HERE / "page.css").read_text(encoding="utf-8"))
_SCRIPT: Final = Markup((_HERE / "page.js").read_text(encoding="utf-8"))

_BLOCK: Final = """<div class="block">
<div class="bar"><h3 id="${name}">${title} <span>${place}</span></h3></div>
<pre tabindex="0" role="group" aria-labelledby="${name}"><code>${lines}</code></pre>
</div>"""
_COUNTS: Final = """<dl class="counts">
<div><dt>store paths published</dt><dd><data id="published" value="${published}">${published_text}</data></dd></div>
<div><dt>of them in the last 30 days</dt><dd><data id="recent" value="${recent}">${recent_text}</data></dd></div>
<div><dt>stored, compressed</dt><dd><data id="stored" value="${stored}">${stored_text}</data></dd></div>
</dl>"""
_USE: Final = """<section aria-labelledby="use">
<h2 id="use">Use it</h2>
${steps}
</section>"""
_NO_KEYS: Final = (
    '<p class="note">The first signing key is being made. This page is written anew within a quarter of an hour.</p>'
)
_KEYS: Final = """<p>Trust all of them: while one follows the other, new paths carry both signatures, and older paths
may carry one.</p>
<div class="table" role="group" aria-labelledby="keys" tabindex="0"><table>
<thead><tr><th scope="col">Public key</th><th scope="col">Signs</th><th scope="col">Since</th></tr></thead>
<tbody>
${rows}
</tbody>
</table></div>"""
_KEY: Final = """<tr><th scope="row"><code>${key}</code></th><td>${signs}</td><td>${since}</td></tr>"""
_DATE: Final = """<time datetime="${date}">${date}</time>"""
_UNTIL: Final = """until ${date}, beside the next one"""
_PRIVATE: Final = """<p class="note">This cache is private. Ask whoever runs it for a name and a password, and put them where only root reads them: for the daemon, and for whoever builds without one.</p>
${netrc}"""  # noqa: E501  a paragraph

UNKNOWN: Final = "not yet"
"""Where there is no count."""


@dataclass(frozen=True, slots=True)
class Cache:
    """What the page is about: the URL that readers use, and whether they need a password."""

    url: str
    is_private: bool

    @property
    def host(self) -> str:
        """The host's name, which readers call the cache by."""
        return urlsplit(self.url).netloc


def render(cache: Cache, keys: Sequence[AnnouncedKey], status: Status) -> bytes:
    """Return the page. The same for the same arguments."""
    steps = [_private(cache)] if cache.is_private else []
    page = fill(
        _PAGE,
        host=cache.host,
        robots="noindex" if cache.is_private else "index",
        style=_STYLE,
        script=_SCRIPT,
        counts=_counts(status),
        use=fill(_USE, steps=join([*steps, *_use(cache, keys)])) if keys else Markup(""),
        keys=_keys(keys),
        push=_push(cache),
        updated=timestamp(status.updated_at),
        updated_text=f"{status.updated_at:%Y-%m-%d %H:%M} UTC",
    )
    return page.html.encode()


def _use(cache: Cache, keys: Sequence[AnnouncedKey]) -> list[Markup]:
    trusted = [str(key.public_key) for key in keys]
    nix_conf = f"extra-substituters = {cache.url}\nextra-trusted-public-keys = {' '.join(trusted)}"
    listed = "\n".join(f"    {_nix_string(key)}" for key in trusted)
    nixos = (
        "nix.settings = {\n"
        f"  substituters = [ {_nix_string(cache.url)} ];\n"
        f"  trusted-public-keys = [\n{listed}\n  ];\n"
        "};"
    )
    once = (
        f"nix build nixpkgs#hello \\\n  --option extra-substituters {shlex.quote(cache.url)} \\\n"
        f"  --option extra-trusted-public-keys {shlex.quote(' '.join(trusted))}"
    )
    return [
        _block("nix-conf", "Nix", "/etc/nix/nix.conf", nix_conf),
        _block("nixos", "NixOS", "configuration.nix", nixos),
        _block("once", "Once", "as a trusted user", once),
    ]


def _private(cache: Cache) -> Markup:
    netrc = f"machine {cache.host}\nlogin NAME\npassword PASSWORD"
    return fill(_PRIVATE, netrc=_block("netrc", "Password", "/etc/nix/netrc, mode 0600", netrc))


def _push(cache: Cache) -> Markup:
    builder = (
        'builder = "NAME"\n'
        'staging_bucket = "…"  # the stack\'s output StagingBucket\n'
        'ledger_bucket = "…"   # LedgerBucket\n'
        f'cache_url = "{_url_for_uploader(cache)}"'
    )
    hook = (
        "assay hook-script --output /etc/nix/assay-hook\n"
        "echo 'post-build-hook = /etc/nix/assay-hook' >> /etc/nix/nix.conf\n"
        "assay doctor"
    )
    return join(
        [
            _block("builder", "Builder", "/etc/assay/builder.toml", builder),
            _block("hook", "Hook", "as root", hook),
        ]
    )


def _url_for_uploader(cache: Cache) -> str:
    return cache.url.replace("https://", "https://NAME:PASSWORD@") if cache.is_private else cache.url


def _block(name: str, title: str, place: str, lines: str) -> Markup:
    return fill(_BLOCK, name=name, title=title, place=place, lines=lines)


def _keys(keys: Sequence[AnnouncedKey]) -> Markup:
    if not keys:
        return Markup(_NO_KEYS)
    rows = [
        fill(
            _KEY,
            key=str(key.public_key),
            signs="every new path" if key.until is None else fill(_UNTIL, date=_date(key.until)),
            since=_date(key.since),
        )
        for key in keys
    ]
    return fill(_KEYS, rows=join(rows))


def _date(moment: datetime) -> Markup:
    return fill(_DATE, date=f"{moment:%Y-%m-%d}")


def _counts(status: Status) -> Markup:
    published, stored = status.published, status.stored
    return fill(
        _COUNTS,
        published=published.total if published else "",
        published_text=f"{published.total:,}" if published else UNKNOWN,
        recent=published.last_30_days if published else "",
        recent_text=f"{published.last_30_days:,}" if published else UNKNOWN,
        stored=stored.bytes if stored else "",
        stored_text=_bytes(stored.bytes) if stored else UNKNOWN,
    )


def _bytes(count: float) -> str:
    """Return a size as page.js writes it."""
    if count < 1000:  # noqa: PLR2004
        return f"{count} B"
    for unit in ("kB", "MB", "GB", "TB"):
        count /= 1000
        if count < 999.95:  # noqa: PLR2004  what would be rounded to 1000.0
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} PB"


def _nix_string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${")
    return f'"{escaped}"'
