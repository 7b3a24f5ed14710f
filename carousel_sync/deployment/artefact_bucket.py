"""Uploads the artefact and the template for CloudFormation, to a bucket that the first deployment creates."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from botocore.exceptions import ClientError

from carousel_sync.aws.target import Target
from carousel_sync.release.project_zip import with_code_uri
from lambda_fn.errors import ConfigurationError

_BUCKET: Final = "carousel-sync-artefacts-{account}-{region}"
# Amazon S3 API Reference, CreateBucket: the oldest region does not take a location.
_WITHOUT_LOCATION: Final = "us-east-1"


def upload(target: Target, template: Path, artefact: Path, bucket: str | None) -> str:
    """Upload the artefact, and a template that refers to it; return the URL of the template.

    Both are named by their content, so a repeat overwrites them with the same. Raises ConfigurationError if a file is
    missing, or if the bucket belongs to another account, whose template could create anything in this account.
    """
    for path in (template, artefact):
        if not path.is_file():
            raise ConfigurationError(f"{path} does not exist. Nothing was changed. Build it first: make build")
    account = target.client("sts").get_caller_identity()["Account"]
    bucket = bucket or _own_bucket(target, account)
    code = artefact.read_bytes()
    code_key = f"{hashlib.sha256(code).hexdigest()}.zip"
    text = with_code_uri(template.read_text(), f"s3://{bucket}/{code_key}").encode()
    text_key = f"{hashlib.sha256(text).hexdigest()}.yaml"
    s3 = target.client("s3")
    for key, body in ((code_key, code), (text_key, text)):
        # Amazon S3 User Guide, "Verifying bucket ownership with bucket owner condition": 403 for another owner's.
        s3.put_object(Bucket=bucket, Key=key, Body=body, ExpectedBucketOwner=account)
    base = target.endpoint_url or f"https://s3.{target.region}.amazonaws.com"
    return f"{base.rstrip('/')}/{bucket}/{text_key}"


def _own_bucket(target: Target, account: str) -> str:
    """Create the account's bucket for artefacts if it does not exist. It is private and encrypted by default."""
    name = _BUCKET.format(account=account, region=target.region)
    s3 = target.client("s3")
    configuration = {"CreateBucketConfiguration": {"LocationConstraint": target.region}}
    try:
        s3.create_bucket(Bucket=name, **({} if target.region == _WITHOUT_LOCATION else configuration))
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "BucketAlreadyExists":
            raise ConfigurationError(
                f"Bucket {name} belongs to another account. Nothing was uploaded or changed. Create a bucket in your "
                f"account, and deploy again: carousel-sync deploy --stage {target.stage} --bucket NAME"
            ) from error
        if code != "BucketAlreadyOwnedByYou":
            raise
    return name
