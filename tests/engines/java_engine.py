"""Engines that run on Java. Maven downloads their jars once; then they run as local processes.

``python -m tests.engines.java_engine fetch`` downloads all of them into .cache/engines.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from testbed.server_process import ServerProcess, free_port, running

INSTALL_COMMAND: Final = "apt-get install -y openjdk-17-jre-headless maven"
FETCH_COMMAND: Final = "python -m tests.engines.java_engine fetch"

_FOLDER: Final = Path(__file__).parent
CACHE: Final = _FOLDER.parents[1] / ".cache" / "engines"
_FETCH_TIMEOUT_SECONDS: Final = 900


class EngineUnavailable(RuntimeError):
    """An engine is not available on this machine. The message shows the command that installs what is missing."""


@dataclass(frozen=True)
class JavaEngine:
    """An engine. Its jars are the dependencies in ``tests/engines/<folder>/pom.xml``.

    ``archives``: the dependencies are archives of jars, which Maven unpacks.
    """

    folder: str
    main_class: str
    archives: bool = False

    @property
    def name(self) -> str:
        return self.folder.replace("_", "-")

    @property
    def pom(self) -> Path:
        return _FOLDER / self.folder / "pom.xml"


DYNAMODB_LOCAL: Final = JavaEngine("dynamodb_local", "software.amazon.dynamodb.services.local.main.ServerRunner")
ICEBERG_REST: Final = JavaEngine("iceberg_rest", "org.apache.iceberg.rest.RESTCatalogServer")
SPARK: Final = JavaEngine("spark", "org.apache.spark.deploy.SparkSubmit")
TRINO: Final = JavaEngine("trino", "io.trino.server.TrinoServer", archives=True)
ENGINES: Final = (DYNAMODB_LOCAL, ICEBERG_REST, SPARK, TRINO)


def fetch(engine: JavaEngine, cache: Path = CACHE) -> Path:
    """Return the folder with the engine's jars. Downloads them unless this version of the pom has been downloaded.

    Two processes may call this at once: one downloads, the other waits. An interrupted download leaves a folder
    without the marker file, and starts over the next time. Raises EngineUnavailable.
    """
    pom = engine.pom.read_text()
    home = cache / f"{engine.name}-{_version(pom)}"
    library = home / "lib"
    marker = home / f"fetched-{hashlib.sha256(pom.encode()).hexdigest()[:16]}"
    if marker.exists():
        return library
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / "fetch.lock"):  # One lock for all engines, because they share Maven's cache.
        if not marker.exists():
            shutil.rmtree(home, ignore_errors=True)
            _get_dependencies(engine, library)
            marker.touch()
    return library


@contextmanager
def dynamodb_local(folder: Path) -> Iterator[ServerProcess]:
    """Run DynamoDB Local in memory, with one database for all regions and access keys. ``folder`` receives its log."""
    port = free_port()
    library = fetch(DYNAMODB_LOCAL)
    command = [
        *_java(DYNAMODB_LOCAL, library, f"-Djava.library.path={library}"),
        *("-inMemory", "-sharedDb", "-disableTelemetry", "-port", str(port)),
    ]
    # A running server rejects a GET request without a signature as a bad request.
    with running(
        DYNAMODB_LOCAL.name, command, port=port, folder=folder, environment={}, ready_path="/", ready_status=400
    ) as server:
        yield server


@contextmanager
def iceberg_rest(
    folder: Path, *, warehouse: str, s3_endpoint: str, access_key: str, secret_key: str, region: str
) -> Iterator[ServerProcess]:
    """Run the Iceberg REST server. Its catalog is a SQLite file in ``folder``, beside its log.

    ``warehouse`` is the location of new tables, ``s3://bucket/``.
    """
    port = free_port()
    library = fetch(ICEBERG_REST)
    # The server reads CATALOG_A_B__C as the catalog property a.b-c.
    environment = {
        "CATALOG_CATALOG__IMPL": "org.apache.iceberg.jdbc.JdbcCatalog",
        "CATALOG_URI": f"jdbc:sqlite:file:{folder / 'catalog.sqlite'}",
        "CATALOG_JDBC_USER": "user",
        "CATALOG_JDBC_PASSWORD": "password",
        "CATALOG_WAREHOUSE": warehouse,
        "CATALOG_IO__IMPL": "org.apache.iceberg.aws.s3.S3FileIO",
        "CATALOG_S3_ENDPOINT": s3_endpoint,
        "CATALOG_S3_PATH__STYLE__ACCESS": "true",
        "CATALOG_S3_ACCESS__KEY__ID": access_key,
        "CATALOG_S3_SECRET__ACCESS__KEY": secret_key,
        "CATALOG_CLIENT_REGION": region,
        "REST_PORT": str(port),
        "CATALOG_REST_PORT": str(port),
    }
    command = _java(ICEBERG_REST, library)
    with running(
        ICEBERG_REST.name, command, port=port, folder=folder, environment=environment, ready_path="/v1/config"
    ) as server:
        yield server


def _java(engine: JavaEngine, library: Path, *options: str) -> list[str]:
    return [program("java", engine), "-Xmx512m", *options, "-cp", f"{library}/*", engine.main_class]


def _get_dependencies(engine: JavaEngine, library: Path) -> None:
    program("java", engine)
    maven = program("mvn", engine)
    goal = "unpack" if engine.archives else "copy"
    command = [
        *(maven, "-q", "-B", "-ntp", "-f", str(engine.pom)),
        *(f"dependency:{goal}-dependencies", f"-DoutputDirectory={library}"),
        # Beside the archives: markers that outlive them would keep Maven from unpacking the archives again.
        f"-DmarkersDirectory={library.parent / 'markers'}",
    ]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_FETCH_TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise EngineUnavailable(
            f"Maven did not download {engine.name} within {_FETCH_TIMEOUT_SECONDS} s. Try again: {FETCH_COMMAND}"
        ) from error
    if done.returncode != 0:
        output = f"{done.stdout}\n{done.stderr}".strip()[-4_000:]
        raise EngineUnavailable(f"Maven could not download {engine.name}. Try again: {FETCH_COMMAND}\n{output}")


def program(name: str, engine: JavaEngine) -> str:
    """Return the path of a program that an engine needs. Raises EngineUnavailable."""
    path = shutil.which(name)
    if path is None:
        raise EngineUnavailable(
            f"{engine.name} needs the program {name!r}, which is missing. Install it: {INSTALL_COMMAND}"
        )
    return path


def _version(pom: str) -> str:
    found = re.search(r"<engine\.version>(.+?)</engine\.version>", pom)
    if found is None:
        raise ValueError("The pom has no property engine.version.")
    return found[1]


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a lock that other processes wait for."""
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def main(arguments: list[str]) -> int:
    """Download every engine and print its folder."""
    if arguments != ["fetch"]:
        print(f"Usage: {FETCH_COMMAND}", file=sys.stderr)  # noqa: T201
        return 2
    try:
        for engine in ENGINES:
            print(f"{engine.name}: {fetch(engine)}")  # noqa: T201
    except EngineUnavailable as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
