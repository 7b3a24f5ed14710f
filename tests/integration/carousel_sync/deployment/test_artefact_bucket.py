"""The owner of the artefact bucket: responses of Amazon S3 that the emulator, with its one account, never sends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import ANY, Stubber

from carousel_sync.aws.target import Target
from carousel_sync.deployment.artefact_bucket import upload
from carousel_sync.project import PROJECT_ROOT
from lambda_fn.errors import ConfigurationError

ACCOUNT = "000000000000"
REGION = "eu-west-1"
OWN = f"carousel-sync-artefacts-{ACCOUNT}-{REGION}"


@pytest.fixture
def target() -> Target:
    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test")
    return Target(stage="dev", region=REGION, session=session)


@pytest.fixture
def s3(target: Target) -> Iterator[Stubber]:
    """Amazon S3, which answers only the requests that a test expects."""
    with Stubber(target.client("sts")) as sts, Stubber(target.client("s3")) as stubber:
        sts.add_response("get_caller_identity", {"Account": ACCOUNT})
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    path = tmp_path / "artefact.zip"
    path.write_bytes(b"code")
    return path


def expect_creation_to_fail(s3: Stubber, code: str) -> None:
    location = {"LocationConstraint": REGION}
    s3.add_client_error("create_bucket", code, expected_params={"Bucket": OWN, "CreateBucketConfiguration": location})


def expect_upload(s3: Stubber, bucket: str) -> None:
    s3.add_response("put_object", {}, {"Bucket": bucket, "Key": ANY, "Body": ANY, "ExpectedBucketOwner": ACCOUNT})


@pytest.mark.parametrize("given", [None, "mine"])
def test_uploads_name_the_expected_owner(target: Target, s3: Stubber, artefact: Path, given: str | None) -> None:
    if given is None:
        expect_creation_to_fail(s3, "BucketAlreadyOwnedByYou")
    expect_upload(s3, given or OWN)
    expect_upload(s3, given or OWN)
    url = upload(target, PROJECT_ROOT / "template.yaml", artefact, given)
    assert url.startswith(f"https://s3.{REGION}.amazonaws.com/{given or OWN}/")


def test_nothing_is_uploaded_to_a_bucket_of_another_account(target: Target, s3: Stubber, artefact: Path) -> None:
    expect_creation_to_fail(s3, "BucketAlreadyExists")
    with pytest.raises(ConfigurationError, match="belongs to another account"):
        upload(target, PROJECT_ROOT / "template.yaml", artefact, None)


def test_a_bucket_that_must_not_be_created_is_an_error(target: Target, s3: Stubber, artefact: Path) -> None:
    expect_creation_to_fail(s3, "AccessDenied")
    with pytest.raises(ClientError, match="AccessDenied"):
        upload(target, PROJECT_ROOT / "template.yaml", artefact, None)
