"""Delivery: what stands between the cache bucket and the internet, in stacks of its own without the Lambdas' code."""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_lambda as lambda_
from cdk_nag import AwsSolutionsChecks
from constructs import Construct

from lambdas.site.page import Cache, render
from lambdas.site.status import Status
from nixcache.store_path import parse_hash_part
from protocol.keys import (
    INDEX_KEY,
    NIX_CACHE_INFO_KEY,
    PUBLIC_KEYS_JSON_KEY,
    STATUS_KEY,
    CacheListingKey,
    CacheNarInfoKey,
)
from protocol.outputs import Output
from protocol.settings import SiteSettings
from stacks.access_log_bucket import AccessLogBucket
from stacks.account_wide_name import account_wide_name
from stacks.cache_bucket import CacheBucket
from stacks.config import Domain, Readers
from stacks.delivery import Delivery
from tests.site.conftest import NOW
from tests.stacks.conftest import ROOT
from tests.stacks.policy_evaluator import ACCOUNT, REGION, Account

CERTIFICATE = f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/01234567-89ab-cdef-0123-456789abcdef"
DOMAIN = Domain(("cache.example.org", "nix.example.org"), CERTIFICATE)
HASH_PART = parse_hash_part("0123456789abcdfghijklmnpqrsvwxyz")
NAR = "nar/1111111111111111111111111111111111111111111111111111.nar.zst"


class Stacks:
    """Two synthesised stacks: the plainest delivery, and one with a domain and passwords."""

    def __init__(self, directory: Path) -> None:
        context = json.loads((ROOT / "cdk.json").read_text())["context"]
        app = cdk.App(context=context, outdir=str(directory))
        cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
        for name, domain, readers in (
            ("Plain", None, Readers.EVERYONE),
            ("Private", DOMAIN, Readers.BASIC_AUTH),
        ):
            stack = cdk.Stack(app, name, env=cdk.Environment(account=ACCOUNT, region=REGION))
            access_logs = AccessLogBucket(stack, "AccessLogs", stage="test")
            delivery = Delivery(
                stack,
                "Delivery",
                stage="test",
                cache=CacheBucket(stack, "Cache", stage="test", access_logs=access_logs),
                access_logs=access_logs,
                code=lambda_.Code.from_inline("pass"),
                domain=domain,
                readers=readers,
            )
            for output, value in delivery.distribution.outputs.items():
                cdk.CfnOutput(stack, output, value=value)
        try:
            app.synth()
        except RuntimeError as error:
            # A finding of cdk-nag: one test reads the report.
            if "Validation failed" not in str(error):
                raise
        self.directory = directory
        self.nag = json.loads((directory / "validation-report.json").read_text())

    def template(self, name: str) -> dict[str, Any]:
        template = json.loads((self.directory / f"{name}.template.json").read_text())
        assert isinstance(template, dict)
        return template

    def of_type(self, name: str, kind: str) -> dict[str, Any]:
        resources = self.template(name)["Resources"]
        return {key: resource["Properties"] for key, resource in resources.items() if resource["Type"] == kind}

    def distribution(self, name: str) -> Mapping[str, Any]:
        [properties] = self.of_type(name, "AWS::CloudFront::Distribution").values()
        config = properties["DistributionConfig"]
        assert isinstance(config, dict)
        return config

    def behaviour(self, name: str, key: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """The behaviour that serves ``key``, and its cache policy, as CloudFront chooses: the first that matches."""
        config = self.distribution(name)
        [chosen] = [
            *(b for b in config["CacheBehaviors"] if fnmatch.fnmatchcase(key, b["PathPattern"])),
            config["DefaultCacheBehavior"],
        ][:1]
        policy = self.of_type(name, "AWS::CloudFront::CachePolicy")[chosen["CachePolicyId"]["Ref"]]
        return chosen, policy["CachePolicyConfig"]


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Stacks:
    return Stacks(tmp_path_factory.mktemp("delivery"))


@pytest.fixture(params=["Plain", "Private"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _arn(key: object = "", *, bucket: str = "cache") -> str:
    arn = f"arn:aws:s3:::assay-test-{bucket}-{ACCOUNT}-{REGION}"
    return f"{arn}/{key}" if key else arn


def test_the_bucket_stays_closed_and_the_distribution_alone_reads_it(stacks: Stacks, name: str) -> None:
    """I8. Listing is for S3 to say 404 and not 403 of what is missing."""
    [(distribution, _)] = stacks.of_type(name, "AWS::CloudFront::Distribution").items()
    policies = stacks.of_type(name, "AWS::S3::BucketPolicy").values()
    [allowing] = [
        statement
        for policy in policies
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow" and statement["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    ]
    assert sorted(allowing["Action"]) == ["s3:GetObject", "s3:ListBucket"]
    [source] = allowing["Condition"].pop("StringEquals").values()
    assert source["Fn::Join"][1][-2:] == [":distribution/", {"Ref": distribution}]
    assert allowing["Condition"] == {}
    for bucket in stacks.of_type(name, "AWS::S3::Bucket").values():
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}


def test_what_cloudfront_names_once_an_account_has_the_region_in_its_name(stacks: Stacks) -> None:
    """Or the second region's deployment of a stage would fail: these names are taken."""
    names = [
        *(p["Name"] for p in stacks.of_type("Private", "AWS::CloudFront::Function").values()),
        *(p["Name"] for p in stacks.of_type("Private", "AWS::CloudFront::KeyValueStore").values()),
        *(
            config["Name"]
            for kind in ("CachePolicy", "ResponseHeadersPolicy", "OriginAccessControl")
            for properties in stacks.of_type("Private", f"AWS::CloudFront::{kind}").values()
            for config in properties.values()
        ),
    ]
    assert len(names) == 7
    assert [name for name in names if REGION not in name] == []
    assert [name for name in names if not re.fullmatch("[A-Za-z0-9_-]{1,128}", name)] == []


def test_such_a_name_fits_cloudfront_however_deep_its_construct_lies() -> None:
    scope: Construct = cdk.Stack(
        None, "Assay-" + "s" * 16, env=cdk.Environment(account=ACCOUNT, region="ap-southeast-1")
    )
    for depth in range(6):
        scope = Construct(scope, f"Construct{depth}OfSomeLength")
    assert re.fullmatch("[A-Za-z0-9-]{1,64}", account_wide_name(scope))


def test_every_request_to_the_bucket_is_signed(stacks: Stacks, name: str) -> None:
    [control] = stacks.of_type(name, "AWS::CloudFront::OriginAccessControl").items()
    config = control[1]["OriginAccessControlConfig"]
    assert (config["SigningBehavior"], config["SigningProtocol"]) == ("always", "sigv4")
    [origin] = stacks.distribution(name)["Origins"]
    assert origin["OriginAccessControlId"] == {"Fn::GetAtt": [control[0], "Id"]}
    assert origin["S3OriginConfig"] == {"OriginAccessIdentity": ""}


def test_https_and_the_newest_http(stacks: Stacks, name: str) -> None:
    config = stacks.distribution(name)
    assert (config["HttpVersion"], config["IPV6Enabled"], config["PriceClass"]) == ("http2and3", True, "PriceClass_All")
    for behaviour in (config["DefaultCacheBehavior"], *config["CacheBehaviors"]):
        assert behaviour["ViewerProtocolPolicy"] == "redirect-to-https"
        assert behaviour["AllowedMethods"] == ["GET", "HEAD"]


def test_a_domain_comes_with_its_certificate_and_tls_1_2(stacks: Stacks) -> None:
    config = stacks.distribution("Private")
    assert config["Aliases"] == ["cache.example.org", "nix.example.org"]
    assert config["ViewerCertificate"] == {
        "AcmCertificateArn": CERTIFICATE,
        "MinimumProtocolVersion": "TLSv1.2_2021",
        "SslSupportMethod": "sni-only",
    }
    assert "ViewerCertificate" not in stacks.distribution("Plain")


def test_no_error_is_remembered(stacks: Stacks, name: str) -> None:
    """A remembered 404 hides a path that was published a moment later, from the uploader's look-up and from readers."""
    responses = stacks.distribution(name)["CustomErrorResponses"]
    assert {response["ErrorCode"]: response for response in responses} == {
        code: {"ErrorCode": code, "ErrorCachingMinTTL": 0} for code in (403, 404, 500, 502, 503, 504)
    }
    for policy in stacks.of_type(name, "AWS::CloudFront::CachePolicy").values():
        assert policy["CachePolicyConfig"]["MinTTL"] == 0


YEAR, DAY = 365 * 86_400, 86_400


@pytest.mark.parametrize(
    ("key", "longest", "compressed"),
    [
        (NAR, YEAR, False),
        (str(CacheNarInfoKey(HASH_PART)), DAY, False),
        (str(CacheListingKey(HASH_PART)), DAY, True),
        (NIX_CACHE_INFO_KEY, DAY, True),
        (INDEX_KEY, DAY, True),
        (STATUS_KEY, DAY, True),
        (PUBLIC_KEYS_JSON_KEY, DAY, True),
    ],
)
def test_each_kind_of_object_is_kept_as_long_as_it_stays_true(
    stacks: Stacks, name: str, key: str, longest: int, *, compressed: bool
) -> None:
    behaviour, policy = stacks.behaviour(name, key)
    assert policy["MaxTTL"] == longest
    assert behaviour["Compress"] is compressed
    parameters = policy["ParametersInCacheKeyAndForwardedToOrigin"]
    # A key with Accept-Encoding in it is kept once for each; where nothing is compressed, for nothing.
    assert parameters["EnableAcceptEncodingGzip"] is parameters["EnableAcceptEncodingBrotli"] is compressed


def test_nothing_of_a_request_but_its_path_reaches_the_bucket(stacks: Stacks, name: str) -> None:
    """`?list-type=2` would list the bucket, for the distribution may; and each `?x=…` would be a miss to pay for."""
    for policy in stacks.of_type(name, "AWS::CloudFront::CachePolicy").values():
        parameters = policy["CachePolicyConfig"]["ParametersInCacheKeyAndForwardedToOrigin"]
        assert parameters["CookiesConfig"] == {"CookieBehavior": "none"}
        assert parameters["HeadersConfig"] == {"HeaderBehavior": "none"}
        assert parameters["QueryStringsConfig"] == {"QueryStringBehavior": "none"}
    config = stacks.distribution(name)
    assert config["DefaultRootObject"] == INDEX_KEY
    for behaviour in (config["DefaultCacheBehavior"], *config["CacheBehaviors"]):
        assert "OriginRequestPolicyId" not in behaviour


def test_every_answer_tells_browsers_to_run_nothing_but_the_page(stacks: Stacks, name: str) -> None:
    """Builders choose the bytes of a NAR: no browser may take one for a document with a script in it."""
    [(headers, properties)] = stacks.of_type(name, "AWS::CloudFront::ResponseHeadersPolicy").items()
    config = stacks.distribution(name)
    for behaviour in (config["DefaultCacheBehavior"], *config["CacheBehaviors"]):
        assert behaviour["ResponseHeadersPolicyId"] == {"Ref": headers}
    security = properties["ResponseHeadersPolicyConfig"]["SecurityHeadersConfig"]
    assert security["ContentTypeOptions"] == {"Override": True}
    assert security["FrameOptions"] == {"FrameOption": "DENY", "Override": True}
    assert security["StrictTransportSecurity"]["AccessControlMaxAgeSec"] == YEAR
    directives = dict(
        directive.split(" ", 1) for directive in security["ContentSecurityPolicy"]["ContentSecurityPolicy"].split("; ")
    )
    page = render(Cache("https://cache.example.org", is_private=False), (), Status(NOW, None, None)).decode()
    for directive, tag in (("script-src", "script"), ("style-src", "style")):
        [text] = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert directives.pop(directive) == f"'sha256-{digest}'"
    assert directives == {
        "default-src": "'none'",
        "connect-src": "'self'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


def test_passwords_are_asked_for_everywhere_or_nowhere(stacks: Stacks) -> None:
    [(function, properties)] = stacks.of_type("Private", "AWS::CloudFront::Function").items()
    [store] = stacks.of_type("Private", "AWS::CloudFront::KeyValueStore")
    assert properties["FunctionConfig"]["Runtime"] == "cloudfront-js-2.0"
    assert properties["FunctionConfig"]["KeyValueStoreAssociations"] == [
        {"KeyValueStoreARN": {"Fn::GetAtt": [store, "Arn"]}}
    ]
    assert properties["AutoPublish"] is True
    config = stacks.distribution("Private")
    for behaviour in (config["DefaultCacheBehavior"], *config["CacheBehaviors"]):
        assert behaviour["FunctionAssociations"] == [
            {"EventType": "viewer-request", "FunctionARN": {"Fn::GetAtt": [function, "FunctionARN"]}}
        ]
    plain = stacks.distribution("Plain")
    assert not any("FunctionAssociations" in b for b in (plain["DefaultCacheBehavior"], *plain["CacheBehaviors"]))
    assert stacks.of_type("Plain", "AWS::CloudFront::Function") == {}


def test_no_password_nor_user_is_in_the_template(stacks: Stacks) -> None:
    """Whoever may look at a deployment reads its template: the store is made empty."""
    [store] = stacks.of_type("Private", "AWS::CloudFront::KeyValueStore").values()
    assert set(store) == {"Comment", "Name"}


def test_access_logs_go_where_cloudfront_can_write_and_nobody_else_reads(stacks: Stacks, name: str) -> None:
    """CloudFront writes by an access control list: with lists switched off, its deployment fails."""
    logging = stacks.distribution(name)["Logging"]
    [bucket, attribute] = logging["Bucket"]["Fn::GetAtt"]
    assert attribute == "RegionalDomainName"
    properties = stacks.of_type(name, "AWS::S3::Bucket")[bucket]
    assert properties["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
    assert properties["BucketName"] == f"assay-test-reader-logs-{ACCOUNT}-{REGION}"
    expirations = [rule.get("ExpirationInDays") for rule in properties["LifecycleConfiguration"]["Rules"]]
    assert 90 in expirations
    others = [p for key, p in stacks.of_type(name, "AWS::S3::Bucket").items() if key != bucket]
    for other in others:
        assert other["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}


def test_the_name_of_every_bucket_fits_s3_for_the_longest_stage_and_region() -> None:
    assert len(f"assay-{'s' * 16}-reader-logs-{ACCOUNT}-ap-southeast-1") <= 63


def test_outputs_say_where_to_read_and_what_to_point_a_domain_at(stacks: Stacks) -> None:
    plain, private = stacks.template("Plain")["Outputs"], stacks.template("Private")["Outputs"]
    assert set(plain) == {Output.CACHE_URL, Output.DISTRIBUTION_ID, Output.DISTRIBUTION_DOMAIN_NAME}
    assert set(private) == {*plain, Output.READERS_STORE_ARN}
    assert private[Output.CACHE_URL]["Value"] == "https://cache.example.org"
    [distribution] = stacks.of_type("Plain", "AWS::CloudFront::Distribution")
    assert plain[Output.CACHE_URL]["Value"] == {
        "Fn::Join": ["", ["https://", {"Fn::GetAtt": [distribution, "DomainName"]}]]
    }


def test_cdk_nag_and_cfn_lint_find_nothing_that_was_not_answered_for(stacks: Stacks) -> None:
    for report in stacks.nag["pluginReports"]:
        assert report["violations"] == []
    suppressed = {v["ruleName"] for report in stacks.nag["pluginReports"] for v in report["suppressedViolations"]}
    assert {rule for rule in suppressed if "AwsSolutions" in rule} == {
        "AwsSolutions-CFR1",
        "AwsSolutions-CFR2",
        "AwsSolutions-CFR4",
        "AwsSolutions-IAM5[Resource::*]",
    }
    # The plain one is in the whole stack, which has a test of its own.
    template = stacks.directory / "Private.template.json"
    command = [str(Path(sys.executable).with_name("cfn-lint")), "--ignore-checks", "W3005", "--", str(template)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout) == (0, "")


# The function that writes what lies at the cache's root.


@pytest.fixture(scope="module")
def account(stacks: Stacks) -> Account:
    return Account(stacks.template("Plain"))


@pytest.mark.parametrize("key", [NIX_CACHE_INFO_KEY, INDEX_KEY, STATUS_KEY])
def test_the_site_function_writes_its_three_objects(account: Account, key: str) -> None:
    assert account.decide(account.role("DeliverySiteRole"), "s3:PutObject", _arn(key))


@pytest.mark.parametrize("key", [PUBLIC_KEYS_JSON_KEY, STATUS_KEY])
def test_the_site_function_reads_the_keys_and_its_own_counts(account: Account, key: str) -> None:
    assert account.decide(account.role("DeliverySiteRole"), "s3:GetObject", _arn(key))


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        pytest.param("s3:PutObject", _arn(CacheNarInfoKey(HASH_PART)), id="publishing"),
        pytest.param("s3:PutObject", _arn(CacheListingKey(HASH_PART)), id="writing a listing"),
        pytest.param("s3:PutObject", _arn(NAR), id="replacing a NAR"),
        pytest.param("s3:PutObject", _arn(PUBLIC_KEYS_JSON_KEY), id="announcing a key"),
        pytest.param("s3:PutObject", _arn("public-keys"), id="announcing a key as text"),
        pytest.param("s3:PutObject", _arn("index.html.narinfo"), id="another key that begins alike"),
        pytest.param("s3:PutObject", _arn("a/index.html"), id="another key that ends alike"),
        pytest.param("s3:DeleteObject", _arn(INDEX_KEY), id="deleting the page"),
        pytest.param("s3:DeleteObject", _arn(CacheNarInfoKey(HASH_PART)), id="withdrawing a path"),
        pytest.param("s3:GetObject", _arn(NAR), id="reading a NAR"),
        pytest.param("s3:PutObject", _arn("x", bucket="ledger"), id="the ledger"),
        pytest.param("s3:GetObject", _arn("ci/x.narinfo", bucket="staging"), id="staging"),
        pytest.param("s3:ListBucket", _arn(bucket="ledger"), id="listing the ledger"),
        pytest.param(
            "secretsmanager:GetSecretValue",
            f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:assay/test/signing-key-AbCdEf",
            id="the signing key",
        ),
    ],
)
def test_i8_the_site_function_may_do_nothing_else(account: Account, action: str, resource: str) -> None:
    role = account.role("DeliverySiteRole")
    assert not account.decide(role, action, resource, s3__if_none_match="*")


def test_i8_no_action_that_the_tables_above_do_not_name(account: Account) -> None:
    assert account.actions_of(account.role("DeliverySiteRole")) == {
        "s3:PutObject",
        "s3:GetObject",
        "s3:ListBucket",
        "cloudwatch:GetMetricStatistics",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "xray:PutTraceSegments",
        "xray:PutTelemetryRecords",
    }


def test_it_runs_when_this_stack_was_deployed_and_every_quarter_of_an_hour(stacks: Stacks, name: str) -> None:
    rules = stacks.of_type(name, "AWS::Events::Rule")
    [function] = stacks.of_type(name, "AWS::Lambda::Function")
    assert sorted(rule.get("ScheduleExpression", "") for rule in rules.values()) == ["", "rate(15 minutes)"]
    [pattern] = [rule["EventPattern"] for rule in rules.values() if "EventPattern" in rule]
    assert pattern == {
        "source": ["aws.cloudformation"],
        "detail-type": ["CloudFormation Stack Status Change"],
        "detail": {
            "stack-id": [{"Ref": "AWS::StackId"}],
            "status-details": {"status": ["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"]},
        },
    }
    allowed = {json.dumps(p["SourceArn"]) for p in stacks.of_type(name, "AWS::Lambda::Permission").values()}
    assert allowed == {json.dumps({"Fn::GetAtt": [rule, "Arn"]}) for rule in rules}
    for rule in rules.values():
        [target] = rule["Targets"]
        assert target["Arn"] == {"Fn::GetAtt": [function, "Arn"]}


def test_it_reads_from_its_environment_what_the_stack_was_configured_with(stacks: Stacks) -> None:
    [function] = stacks.of_type("Private", "AWS::Lambda::Function").values()
    variables = Account(stacks.template("Private")).resolve(function["Environment"]["Variables"])
    assert SiteSettings.from_environment(variables) == SiteSettings(
        cache_bucket=f"assay-test-cache-{ACCOUNT}-{REGION}",
        cache_url="https://cache.example.org",
        is_private=True,
        stage="test",
    )
