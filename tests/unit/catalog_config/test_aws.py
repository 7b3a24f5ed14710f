"""Credentials, certificates and addresses are those that the SDK would find."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import NoCredentialsError
from botocore.session import Session

from carousel_sync.project import PROJECT_ROOT
from catalog_config import aws
from catalog_config.signed_requests import Service

ROOT = PROJECT_ROOT
REGIONS = ["us-east-1", "eu-west-1", "ap-southeast-5", "cn-north-1", "us-gov-west-1", "eusc-de-east-1", "us-iso-east-1"]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without configuration, and a session that is not kept for other tests."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setattr(aws, "_session", Session)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    return tmp_path


def without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)


def test_what_is_given_is_used() -> None:
    frozen = aws.credentials("given", "secret", "token").get_frozen_credentials()
    assert (frozen.access_key, frozen.secret_key, frozen.token) == ("given", "secret", "token")


def test_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch, alone: Path) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    (alone / "credentials").write_text("[default]\naws_access_key_id = file\naws_secret_access_key = file\n")
    found = Session().get_credentials()
    assert found is not None
    assert aws.credentials().get_frozen_credentials() == found.get_frozen_credentials()
    assert found.token == "token"


def test_then_the_rest_of_the_sdks_chain(monkeypatch: pytest.MonkeyPatch, alone: Path) -> None:
    without_credentials(monkeypatch)
    (alone / "credentials").write_text("[default]\naws_access_key_id = file\naws_secret_access_key = secret\n")
    assert aws.credentials().access_key == "file"


def test_no_credentials_at_all_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    without_credentials(monkeypatch)
    with pytest.raises(NoCredentialsError):
        aws.credentials()


# As in the artefact, which carries none of the SDK's data but the list of regions, and as after a restore by SnapStart,
# where credentials come from an address (AWS SDKs and Tools Reference Guide, "Container credential provider").
FROM_AN_ADDRESS = """
    import json, os, threading
    from http.server import BaseHTTPRequestHandler, HTTPServer
    import botocore, botocore.loaders
    botocore.loaders.Loader.BUILTIN_DATA_PATH = os.devnull

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            assert self.headers["Authorization"] == "secret"
            keys = {"AccessKeyId": "k", "SecretAccessKey": "s", "Token": "t", "Expiration": "2099-01-01T00:00:00Z"}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(keys).encode())
        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"http://127.0.0.1:{server.server_port}/"
    os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "secret"

    from catalog_config import aws
    frozen = aws.credentials().get_frozen_credentials()
    print(json.dumps([frozen.access_key, frozen.secret_key, frozen.token]))
"""


def test_credentials_from_an_address_need_none_of_the_sdks_data() -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FROM_AN_ADDRESS)],
        cwd=ROOT,
        env={"PATH": "", "AWS_EC2_METADATA_DISABLED": "true"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["k", "s", "t"]


def test_certificates_are_those_of_the_sdk(monkeypatch: pytest.MonkeyPatch, alone: Path) -> None:
    assert aws.ca_bundle() is None
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/of/requests")
    assert aws.ca_bundle() == "/of/requests"
    (alone / "config").write_text("[default]\nca_bundle = /from/the/file\n")
    assert aws.ca_bundle() == "/from/the/file" == Session().get_config_variable("ca_bundle")
    monkeypatch.setenv("AWS_CA_BUNDLE", "/from/the/environment")
    assert aws.ca_bundle() == "/from/the/environment" == Session().get_config_variable("ca_bundle")


def test_a_machine_without_a_home_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_CONFIG_FILE")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", dict[int, Any]().__getitem__)
    assert aws.ca_bundle() is None


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("name", ["dynamodb", "sqs"])
def test_an_address_is_that_of_an_sdk_client(name: str, region: str) -> None:
    client = boto3.client(name, region_name=region)  # type: ignore[call-overload]
    assert Service(name, region).url() == client.meta.endpoint_url


@pytest.mark.parametrize("region", REGIONS)
def test_the_address_of_s3_is_that_of_an_sdk_client(region: str) -> None:
    client = boto3.client("s3", region_name=region)
    # The SDK leaves the region out where it is the oldest one.
    expected = "https://s3.us-east-1.amazonaws.com" if region == "us-east-1" else client.meta.endpoint_url
    assert Service("s3", region).url() == expected


def test_a_region_that_the_sdk_does_not_know_yet() -> None:
    assert Service("sqs", "eu-south-9").url() == "https://sqs.eu-south-9.amazonaws.com"
    assert Service("sqs", "nowhere").url() == "https://sqs.nowhere.amazonaws.com"


def test_an_address_of_ones_own() -> None:
    assert Service("sqs", "eu-west-1", "http://localhost:1/").url() == "http://localhost:1"
    assert Service("s3", "eu-west-1").url("bucket.") == "https://bucket.s3.eu-west-1.amazonaws.com"
