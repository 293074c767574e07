"""How long CloudFront keeps what it has read from the cache bucket, by the kind of object.

No cookie, header or query string is part of a key, and none reaches the bucket: ``?x=1`` is neither a way around the
cache, to be paid for by the request, nor a way to have S3 list the bucket.
"""

from __future__ import annotations

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_cloudfront as cloudfront
from constructs import Construct

_NOTHING: Final = cdk.Duration.seconds(0)
_HOUR: Final = cdk.Duration.hours(1)
_DAY: Final = cdk.Duration.days(1)
_YEAR: Final = cdk.Duration.days(365)


class CachePolicies(Construct):
    """The three policies. All honour ``Cache-Control``, which every object of ours has, up to the longest time here.

    None has a shortest time: CloudFront would hold errors for as long, too, and a remembered 404 hides a path that has
    just been published.
    """

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self.nar = self._policy("Nar", "NARs: named by their hash, compressed", default=_YEAR, most=_YEAR)
        # CloudFront does not compress text/x-nix-narinfo. Were Accept-Encoding in the key, it would keep each narinfo
        # three times over.
        self.narinfo = self._policy("NarInfo", "narinfos", default=_HOUR, most=_DAY)
        self.text = self._policy("Text", "Listings, the page, its counts", default=_HOUR, most=_DAY, compressed=True)

    def _policy(
        self, name: str, what: str, *, default: cdk.Duration, most: cdk.Duration, compressed: bool = False
    ) -> cloudfront.CachePolicy:
        return cloudfront.CachePolicy(
            self,
            name,
            comment=f"Assay: {what}",
            min_ttl=_NOTHING,
            default_ttl=default,
            max_ttl=most,
            cookie_behavior=cloudfront.CacheCookieBehavior.none(),
            header_behavior=cloudfront.CacheHeaderBehavior.none(),
            query_string_behavior=cloudfront.CacheQueryStringBehavior.none(),
            enable_accept_encoding_gzip=compressed,
            enable_accept_encoding_brotli=compressed,
        )
