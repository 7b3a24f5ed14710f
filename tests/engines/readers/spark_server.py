"""A Spark session as an HTTP server: POST a statement to /, and get its rows, pickled.

POST to /jobs runs a program, a JSON list of a file and its arguments, as spark-submit would. Its answer is what the
program prints, pickled.

It runs in the environment ``.tools/spark``, which has nothing of this project:

    python spark_server.py PORT JAR...

GET / returns 200. A statement or a program that fails returns 400 and the message.
"""

from __future__ import annotations

import io
import json
import pickle
import runpy
import sys
from contextlib import redirect_stdout
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Row, SparkSession

OPTIONS = {
    "spark.driver.memory": "1g",
    # For a minute of work, compiling with the simple compiler alone takes half of the CPU time.
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
}


def open_session(jars: list[str]) -> SparkSession:
    """Return a session on two threads of this machine, with Iceberg and without any catalog of it."""
    builder = SparkSession.builder.master("local[2]").config("spark.jars", ",".join(jars))
    for name, value in OPTIONS.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def plain(value: Any) -> Any:
    """Return a value without Spark's types: a struct becomes a dictionary."""
    if isinstance(value, Row):
        return {name: plain(value[name]) for name in value.__fields__}
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


def rows_of(session: SparkSession, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement and return its rows."""
    return [tuple(map(plain, row)) for row in session.sql(statement).collect()]


def run_job(words: list[str]) -> str:
    """Run a program in this process, where it finds the session, and return what it prints.

    A program that exits raises SystemExit.
    """
    printed, arguments = io.StringIO(), sys.argv
    sys.argv = words
    try:
        with redirect_stdout(printed):
            runpy.run_path(words[0], run_name="__main__")
    finally:
        sys.argv = arguments
    return printed.getvalue()


def serve(session: SparkSession, port: int) -> None:
    """Answer requests, one after the other, until the process ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, b"")

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"])).decode()
            try:
                answer = run_job(json.loads(text)) if self.path == "/jobs" else rows_of(session, text)
            except (PySparkException, Py4JJavaError, SystemExit) as error:
                self._answer(400, str(error).encode())
            else:
                self._answer(200, pickle.dumps(answer))

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Log nothing: Spark's own log has the failures."""

    HTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    serve(open_session(sys.argv[2:]), int(sys.argv[1]))
