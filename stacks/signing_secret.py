"""The secret key that signs the cache."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct, IDependable

from stacks.nag import acknowledge


class SigningSecret(Construct):
    """A secret of a fixed name, made empty: the key function puts Nix's secret key ``<key name>:<base64>`` into it.

    The L1 resource, because the L2 puts a random password in, which is no key; and because a template that says nothing
    of the value never touches it at an update. Until the key is there, nothing can be signed.
    """

    def __init__(self, scope: Construct, construct_id: str, *, name: str) -> None:
        super().__init__(scope, construct_id)
        self.name = name
        # The fixed name with six wildcards for the suffix that Secrets Manager appends: exactly six, so that no longer
        # name matches, and no reference to the resource, which some engines resolve to the name.
        self.arn_pattern = cdk.Stack.of(self).format_arn(
            service="secretsmanager",
            resource="secret",
            resource_name=f"{name}-??????",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        self._secret = secretsmanager.CfnSecret(
            self,
            "Secret",
            name=name,
            description="Nix secret key that signs Assay's cache: made by a function, read by functions",
        )
        # Losing the key means that every client has to trust a new one. A first deployment that fails has made none,
        # and its secret would have the name that the next one wants.
        self._secret.apply_removal_policy(cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE)

    def rotate(self, function: lambda_.IFunction, *, days: int, after: IDependable) -> None:
        """Have ``function`` make a new key every so many days; ``after`` is what lets Secrets Manager call it."""
        schedule = secretsmanager.CfnRotationSchedule(
            self,
            "Rotation",
            secret_id=self._secret.ref,
            rotation_lambda_arn=function.function_arn,
            rotation_rules=secretsmanager.CfnRotationSchedule.RotationRulesProperty(automatically_after_days=days),
            # The first key is made when the deployment is done; another right beside it would be its successor.
            rotate_immediately_on_update=False,
        )
        schedule.node.add_dependency(after)

    def rotates_by_command(self) -> None:
        """Answer for it that no schedule makes new keys."""
        acknowledge(
            self._secret,
            "SMG4",
            because="The stage's keyRotationDays is not set: its operator rotates by command, when readers are told.",
        )

    def readable_only_by(self, *roles: iam.IRole) -> None:
        """I8: whatever other policies of the account allow, no other principal reads the value.

        Writing it stays possible: a key can be imported. An administrator can still change this policy; that
        is a visible act, and reading would not be.
        """
        policy = secretsmanager.CfnResourcePolicy(
            self,
            "Policy",
            secret_id=self._secret.ref,
            block_public_policy=True,
            resource_policy=iam.PolicyDocument(
                statements=[
                    iam.PolicyStatement(
                        sid="OnlyFunctionsReadTheKey",
                        effect=iam.Effect.DENY,
                        principals=[iam.AnyPrincipal()],
                        actions=["secretsmanager:GetSecretValue"],
                        resources=["*"],
                        conditions={"ArnNotEquals": {"aws:PrincipalArn": [role.role_arn for role in roles]}},
                    )
                ]
            ),
        )
        # The key outlives the stack, and the stack that takes another secret: it stays closed. Then to everybody, for
        # the roles are named by ARN, and are gone.
        policy.apply_removal_policy(cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE)
