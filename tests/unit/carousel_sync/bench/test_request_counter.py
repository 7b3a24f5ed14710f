"""Requests are named by service and action, and each is counted once."""

from __future__ import annotations

import http.client
import socket
import threading

import pytest

from carousel_sync.bench.request_counter import RequestCounter, name_of_request


@pytest.mark.parametrize(
    ("request_text", "name"),
    [
        ("POST / HTTP/1.1\r\nX-Amz-Target: DynamoDB_20120810.BatchGetItem\r\n\r\n{}", "dynamodb BatchGetItem"),
        ("POST / HTTP/1.1\r\nx-amz-target: AmazonSQS.SendMessageBatch\r\n\r\n", "sqs SendMessageBatch"),
        ("POST /iceberg/v1/namespaces/n/tables/t HTTP/1.1\r\nHost: h\r\n\r\n", "catalog POST"),
        ("PUT /bucket/data/a.parquet HTTP/1.1\r\nHost: h\r\n\r\n", "s3 PUT"),
        ("POST /bucket/key?uploadId=1 HTTP/1.1\r\nHost: h\r\n\r\n", "s3 POST multipart"),
    ],
)
def test_a_request_is_named_by_its_service_and_action(request_text: str, name: str) -> None:
    assert name_of_request(request_text.encode()) == name


def test_each_request_is_counted_once_whatever_its_body() -> None:
    counter = RequestCounter()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                with connection, connection.makefile("rb") as stream:
                    length = 0
                    while (line := stream.readline()) != b"\r\n":
                        if line.lower().startswith(b"content-length:"):
                            length = int(line.split(b":")[1])
                    stream.read(length)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        for body in (b"PUT / in a body", None):
            connection = http.client.HTTPConnection("127.0.0.1", server.getsockname()[1], timeout=10)
            connection.request("PUT" if body else "GET", "/bucket/key", body)
            connection.getresponse().read()
            connection.close()
        thread.join()
    assert counter.take() == {"s3 PUT": 1, "s3 GET": 1}
    assert counter.take() == {}
