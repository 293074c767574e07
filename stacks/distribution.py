"""Where readers come in: CloudFront before the cache bucket."""

from __future__ import annotations

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_s3 as s3
from constructs import Construct

from protocol.keys import INDEX_KEY, NARINFO_SUFFIX
from protocol.outputs import Output
from stacks.account_wide_name import account_wide_name
from stacks.basic_auth import BasicAuth
from stacks.cache_policies import CachePolicies
from stacks.config import Domain, Readers
from stacks.nag import acknowledge, acknowledge_warning
from stacks.security_headers import SecurityHeaders

# Those that the origin may give for a moment: a path that is not there yet, or S3 out of breath. CloudFront would
# remember each for ten seconds, and a client that is told 404 remembers it for an hour.
_NEVER_REMEMBERED: Final = (403, 404, 500, 502, 503, 504)


class CacheDistribution(Construct):
    """Reads the cache bucket under an identity of its own; the bucket stays closed to everybody else."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cache: s3.IBucket,
        reader_logs: s3.IBucket,
        domain: Domain | None,
        readers: Readers,
    ) -> None:
        super().__init__(scope, construct_id)
        auth = BasicAuth(self, "BasicAuth") if readers is Readers.BASIC_AUTH else None
        policies = CachePolicies(self, "CachePolicies")
        headers = SecurityHeaders(self, "SecurityHeaders")
        # LIST, so that S3 says 404 of what is not there. It would say 403 otherwise, and nobody could tell a missing
        # path from a distribution that may not read. A listing itself cannot be asked for: the root is the page, and
        # no query string goes through.
        origin = origins.S3BucketOrigin.with_origin_access_control(
            cache,
            origin_access_control=cloudfront.S3OriginAccessControl(
                self,
                "AccessControl",
                origin_access_control_name=account_wide_name(self),
                description="Assay: CloudFront signs each of its requests to the cache bucket",
            ),
            origin_access_levels=[cloudfront.AccessLevel.READ, cloudfront.AccessLevel.LIST],
        )

        def behaviour(policy: cloudfront.CachePolicy, *, compress: bool) -> cloudfront.BehaviorOptions:
            return cloudfront.BehaviorOptions(
                origin=origin,
                cache_policy=policy,
                compress=compress,
                response_headers_policy=headers,
                viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
                allowed_methods=cloudfront.AllowedMethods.ALLOW_GET_HEAD,
                function_associations=None
                if auth is None
                else [
                    cloudfront.FunctionAssociation(
                        function=auth.function, event_type=cloudfront.FunctionEventType.VIEWER_REQUEST
                    )
                ],
            )

        distribution = cloudfront.Distribution(
            self,
            "Distribution",
            comment="Assay: the binary cache",
            default_behavior=behaviour(policies.text, compress=True),
            additional_behaviors={
                "nar/*": behaviour(policies.nar, compress=False),
                f"*{NARINFO_SUFFIX}": behaviour(policies.narinfo, compress=False),
            },
            default_root_object=INDEX_KEY,
            error_responses=[
                cloudfront.ErrorResponse(http_status=status, ttl=cdk.Duration.seconds(0))
                for status in _NEVER_REMEMBERED
            ],
            http_version=cloudfront.HttpVersion.HTTP2_AND_3,
            minimum_protocol_version=None if domain is None else cloudfront.SecurityPolicyProtocol.TLS_V1_2_2021,
            price_class=cloudfront.PriceClass.PRICE_CLASS_ALL,
            log_bucket=reader_logs,
            domain_names=None if domain is None else list(domain.names),
            certificate=None
            if domain is None
            else acm.Certificate.from_certificate_arn(self, "Certificate", domain.certificate),
        )
        acknowledge_warning(
            distribution,
            "aws-cloudfront-origins:listBucketSecurityRisk",
            because="There is a default root object, and no query string reaches the bucket.",
        )
        acknowledge(distribution, "CFR1", because="A binary cache is read from wherever builds run.")
        acknowledge(
            distribution,
            "CFR2",
            because="There is nothing behind it to attack but immutable objects of S3; a firewall would cost more than"
            " the reads. Who wants one attaches it to the distribution.",
        )
        if domain is None:
            acknowledge(
                distribution,
                "CFR4",
                because="CloudFront's own name comes with its own certificate and its own choice of TLS; a domain in"
                " the configuration brings TLS 1.2 at least.",
            )
        self.url = f"https://{distribution.distribution_domain_name if domain is None else domain.names[0]}"
        self.outputs = {
            Output.CACHE_URL: self.url,
            Output.DISTRIBUTION_ID: distribution.distribution_id,
            Output.DISTRIBUTION_DOMAIN_NAME: distribution.distribution_domain_name,
        }
        if auth is not None:
            self.outputs[Output.READERS_STORE_ARN] = auth.users.key_value_store_arn
