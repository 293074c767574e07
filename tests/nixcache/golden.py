"""One store object as Nix 2.8.0 wrote it: key, signature, narinfo, NAR and listing, byte for byte.

The key was made by ``nix-store --generate-binary-cache-key`` for these tests and signs nothing else.
"""

from __future__ import annotations

from tests.nixcache.nar_model import File, Link, Tree, nar

SECRET_KEY = (
    "cache.example.org-1:Tk6iGz9J+SkZ0/PoMo76N3srAlhP5xqFbBK5CPdGFzK1nLUM5z8BFgaZgO4yeLKPZfg5DKo27kns3QD3GHothA=="
)
PUBLIC_KEY = "cache.example.org-1:tZy1DOc/ARYGmYDuMniyj2X4OQyqNu5J7N0A9xh6LYQ="

ZLIB = "0i1dya4y5gbx52zfdr9xdy6xy1pz5s5b-zlib-1.2.12"
HELLO = "8v5wq9sk6zp7b3n2xqd1c4mmhy8fvgrc-hello-2.12"
HELLO_DRV = "wq9sk6zp7b3n2xqd1c4mmhy8fvgrc8v5-hello-2.12.drv"

HELLO_SCRIPT = f"#!/nix/store/{ZLIB}/lib\necho hello /nix/store/{HELLO}\n".encode()
HELLO_TREE = Tree(
    {
        b"bin": Tree({b"hello": File(HELLO_SCRIPT, executable=True)}),
        b"share": Tree({b"link": Link(b"../bin/hello")}),
    }
)
HELLO_NAR = nar(HELLO_TREE)
HELLO_NAR_HASH = "sha256:0lsjdbg0nc5inqb1j26zzzddlf1zpa3sicws8s9a6q4yz7zxq1ba"
HELLO_SIGNATURE = (
    "cache.example.org-1:ok7kfIgp45Rpty2rqqYhLQJJYSMD/s7cxWNSoPiN02Q+/N8EN4IAERN+4xgbZZ3t4Nv5KuNMaIKuYm11QjTsAQ=="
)
HELLO_NARINFO = f"""\
StorePath: /nix/store/{HELLO}
URL: nar/0lsjdbg0nc5inqb1j26zzzddlf1zpa3sicws8s9a6q4yz7zxq1ba.nar
Compression: none
FileHash: {HELLO_NAR_HASH}
FileSize: 976
NarHash: {HELLO_NAR_HASH}
NarSize: 976
References: {ZLIB} {HELLO}
Deriver: {HELLO_DRV}
Sig: {HELLO_SIGNATURE}
""".encode()
HELLO_LISTING = (
    '{"version":1,"root":{"type":"directory","entries":{"bin":{"type":"directory","entries":{"hello":'
    '{"type":"regular","size":128,"executable":true,"narOffset":400}}},"share":{"type":"directory","entries":'
    '{"link":{"type":"symlink","target":"../bin/hello"}}}}}}'
)
