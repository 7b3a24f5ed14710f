"""Where the artefact and the template lie for CloudFormation: a bucket of the account, made at the first deployment."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from botocore.exceptions import ClientError

from carousel_sync.aws.target import Target
from carousel_sync.release.project_zip import with_code_uri
from lambda_fn.errors import ConfigurationError

_BUCKET: Final = "carousel-sync-artefacts-{account}-{region}"
# Amazon S3 API Reference, CreateBucket: the oldest region takes no location.
_WITHOUT_LOCATION: Final = "us-east-1"


def upload(target: Target, template: Path, artefact: Path, bucket: str | None) -> str:
    """Upload the artefact, and the template that names it; return the template's address.

    Both are named by their content: a repeat uploads the same again. Raises ConfigurationError when a file is missing,
    and when the bucket belongs to somebody else: a template from there could make anything in this account.
    """
    for path in (template, artefact):
        if not path.is_file():
            raise ConfigurationError(f"{path} is not there. Nothing was changed. Build it first: make build")
    account = target.client("sts").get_caller_identity()["Account"]
    bucket = bucket or _own_bucket(target, account)
    code = artefact.read_bytes()
    code_key = f"{hashlib.sha256(code).hexdigest()}.zip"
    text = with_code_uri(template.read_text(), f"s3://{bucket}/{code_key}").encode()
    text_key = f"{hashlib.sha256(text).hexdigest()}.yaml"
    s3 = target.client("s3")
    for key, body in ((code_key, code), (text_key, text)):
        # Amazon S3 User Guide, "Verifying bucket ownership with bucket owner condition": 403 if it is somebody else's.
        s3.put_object(Bucket=bucket, Key=key, Body=body, ExpectedBucketOwner=account)
    base = target.endpoint_url or f"https://s3.{target.region}.amazonaws.com"
    return f"{base.rstrip('/')}/{bucket}/{text_key}"


def _own_bucket(target: Target, account: str) -> str:
    """Return the account's bucket for artefacts. It is private and encrypted, as every new bucket is."""
    name = _BUCKET.format(account=account, region=target.region)
    s3 = target.client("s3")
    where = {} if target.region == _WITHOUT_LOCATION else {"LocationConstraint": target.region}
    try:
        s3.create_bucket(Bucket=name, **({"CreateBucketConfiguration": where} if where else {}))
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "BucketAlreadyExists":
            raise ConfigurationError(
                f"Bucket {name} belongs to another account, so nothing is uploaded to it. Nothing was changed. Make a "
                "bucket of your own and name it: --bucket NAME"
            ) from error
        if code != "BucketAlreadyOwnedByYou":
            raise
    return name
