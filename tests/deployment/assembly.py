"""The CDK's cloud assembly, made fit for the emulator, and nothing more than that.

What the emulator does not know is left out of the template (docs/explanation/emulator-gaps.md says which test holds it
instead). Its functions run on this machine's Python, so the compiled packages in their code are this machine's; the
code itself, and all that is said about roles, buckets and queues, is what AWS would get.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, Final

from local.aws import PROJECT_ROOT

UNKNOWN_TYPES: Final = frozenset(("AWS::SecretsManager::ResourcePolicy",))
UNKNOWN_CONDITION: Final = "s3:if-none-match"
_HERE: Final = next((PROJECT_ROOT / ".venv" / "lib").glob("python3*")) / "site-packages"
_COMPILED: Final = ("nacl", "backports", "brotli.py", "_cffi_backend*.so", "_brotli*.so")


def fit(assembly: Path, stack: str, *, store_dir: str) -> list[str]:
    """Rewrite what was synthesised for ``stack``, for a Nix with ``store_dir``; returns what was left out."""
    template = assembly / f"{stack}.template.json"
    document = json.loads(template.read_text())
    left_out = _leave_out(document["Resources"])
    for resource in document["Resources"].values():
        variables = resource["Properties"].get("Environment", {}).get("Variables", {})
        if "ASSAY_STORE_DIR" in variables:
            # A test's Nix has its store where it may write.
            variables["ASSAY_STORE_DIR"] = store_dir
    template.write_text(json.dumps(document))
    files = json.loads((assembly / f"{stack}.assets.json").read_text())["files"]
    for name, file in files.items():
        source = assembly / file["source"]["path"]
        if source.is_dir():
            _for_this_machine(source)
            _rename(assembly, stack, name, _digest(source), source)
    # Last, for the names of the code are in it.
    name = next(name for name, file in files.items() if file["source"]["path"] == template.name)
    _rename(assembly, stack, name, hashlib.sha256(template.read_bytes()).hexdigest(), None)
    return left_out


def _leave_out(resources: dict[str, Any]) -> list[str]:
    gone = [
        name
        for name, resource in resources.items()
        if resource["Type"] in UNKNOWN_TYPES
        # Metric math, of which it knows nothing.
        or (resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"])
    ]
    types = sorted({resources.pop(name)["Type"] for name in gone})
    for resource in resources.values():
        if resource["Type"] == "AWS::IAM::Policy":
            _allow_batches(resource["Properties"]["PolicyDocument"])
        if resource["Type"] == "AWS::S3::BucketPolicy":
            document = resource["Properties"]["PolicyDocument"]
            # It denies for a condition that it cannot read, as if that held: nobody could publish.
            kept = [one for one in document["Statement"] if UNKNOWN_CONDITION not in json.dumps(one)]
            if kept != document["Statement"]:
                document["Statement"] = kept
                types.append(UNKNOWN_CONDITION)
        if resource["Type"] == "AWS::StepFunctions::StateMachine":
            _batches_of_one(resource["Properties"]["Definition"])
        depends = resource.get("DependsOn")
        if isinstance(depends, list):
            resource["DependsOn"] = [name for name in depends if name not in gone]
    return types


def _allow_batches(policy: dict[str, Any]) -> None:
    """It asks for a permission of batches, which AWS does not have: there whoever may send one message may send ten."""
    for statement in policy["Statement"]:
        if statement["Action"] == "sqs:SendMessage":
            statement["Action"] = ["sqs:SendMessage", "sqs:SendMessageBatch"]


def _batches_of_one(machine: dict[str, Any]) -> None:
    """It knows no ItemBatcher: each item becomes a batch, as the function takes it, two at once: each is a process."""
    for state in machine["States"].values():
        if "ItemBatcher" in state:
            selector, batcher = state.pop("ItemSelector"), state.pop("ItemBatcher")
            state["ItemSelector"] = {"BatchInput": batcher["BatchInput"], "Items": [selector]}
            state["MaxConcurrency"] = 2


def _for_this_machine(code: Path) -> None:
    for pattern in ("*.so", "nacl", "brotli.py"):
        for path in code.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for pattern in _COMPILED:
        for path in _HERE.glob(pattern):
            if path.is_dir():
                shutil.copytree(path, code / path.name, dirs_exist_ok=True)
            else:
                shutil.copy(path, code)


def _digest(directory: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(file for file in directory.rglob("*") if file.is_file()):
        digest.update(str(file.relative_to(directory)).encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _rename(assembly: Path, stack: str, old: str, new: str, source: Path | None) -> None:
    """Give an asset the name of its new content: what was published once under a name is not published again."""
    for file in (f"{stack}.assets.json", "manifest.json", f"{stack}.template.json"):
        path = assembly / file
        path.write_text(path.read_text().replace(old, new))
    if source:
        source.rename(source.with_name(source.name.replace(old, new)))
