"""A Spark session as an HTTP server: POST a statement, and get its rows, pickled.

It runs in the environment ``.tools/spark``, which has nothing of this project:

    python spark_server.py PORT JAR...

GET / returns 200. A statement that fails returns 400 and Spark's message.
"""

from __future__ import annotations

import pickle
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import Row, SparkSession

OPTIONS = {
    "spark.driver.memory": "1g",
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


def serve(session: SparkSession, port: int) -> None:
    """Answer requests, one after the other, until the process ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, b"")

        def do_POST(self) -> None:
            statement = self.rfile.read(int(self.headers["Content-Length"])).decode()
            try:
                rows = [tuple(map(plain, row)) for row in session.sql(statement).collect()]
            except PySparkException as error:
                self._answer(400, str(error).encode())
            else:
                self._answer(200, pickle.dumps(rows))

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
