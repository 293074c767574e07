"""The headers of every answer that protect whoever opens the cache in a browser."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_cloudfront as cloudfront
from constructs import Construct

from stacks.account_wide_name import account_wide_name

_PAGE: Final = Path(__file__).resolve().parents[1] / "lambdas" / "site"


def content_security_policy() -> str:
    """Return what the landing page may do: run its own script and style, known by their hashes, and read the counts.

    It is sent with every object, for builders choose the bytes of a NAR, and a browser that takes one for a document
    shall run nothing of it.
    """
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash_of('page.js')}",
            f"style-src {_hash_of('page.css')}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


class SecurityHeaders(cloudfront.ResponseHeadersPolicy):
    """Nothing of anybody else's runs, nothing is framed, nothing is guessed from its bytes, and HTTPS stays."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(
            scope,
            construct_id,
            response_headers_policy_name=account_wide_name(scope),
            comment="Assay: what a browser may do with the cache",
            security_headers_behavior=cloudfront.ResponseSecurityHeadersBehavior(
                content_security_policy=cloudfront.ResponseHeadersContentSecurityPolicy(
                    content_security_policy=content_security_policy(), override=True
                ),
                content_type_options=cloudfront.ResponseHeadersContentTypeOptions(override=True),
                frame_options=cloudfront.ResponseHeadersFrameOptions(
                    frame_option=cloudfront.HeadersFrameOption.DENY, override=True
                ),
                referrer_policy=cloudfront.ResponseHeadersReferrerPolicy(
                    referrer_policy=cloudfront.HeadersReferrerPolicy.NO_REFERRER, override=True
                ),
                # Of this host alone: what else there is below the domain is not ours to decide.
                strict_transport_security=cloudfront.ResponseHeadersStrictTransportSecurity(
                    access_control_max_age=cdk.Duration.days(365), include_subdomains=False, override=True
                ),
            ),
        )


def _hash_of(file: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256((_PAGE / file).read_bytes()).digest()).decode()}'"
