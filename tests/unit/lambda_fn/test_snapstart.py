"""A snapshot of the imported function can be restored many times: it contains nothing random and nothing connected.

A fork stands for a restore: every child starts from the same memory.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap

from carousel_sync.project import PROJECT_ROOT

ROOT = PROJECT_ROOT


def run(script: str) -> list[str]:
    """Run a script in a new interpreter without the function's settings, and return the lines it printed."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=ROOT,
        env={"PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_importing_the_handler_creates_no_client_and_no_application() -> None:
    lines = run("""
        import botocore.session
        made = []
        original = botocore.session.Session.create_client
        def create_client(self, *arguments, **keywords):
            made.append(arguments)
            return original(self, *arguments, **keywords)
        botocore.session.Session.create_client = create_client

        import lambda_fn.handler
        from lambda_fn import wiring
        print(len(made), wiring.application.cache_info().currsize)

        import boto3
        boto3.Session(region_name="eu-west-1").client("sqs")
        print(len(made))
    """)
    # The last line is the control: creating a client is noticed.
    assert lines == ["0 0", "1"]


def test_restores_have_different_attempt_ids() -> None:
    lines = run("""
        import os, random
        import lambda_fn.handler
        from lambda_fn.wiring import new_attempt_id
        seeded = random.Random()
        for _ in range(4):
            child = os.fork()
            if child == 0:
                print(new_attempt_id(), seeded.getrandbits(63), flush=True)
                os._exit(0)
            os.waitpid(child, 0)
    """)
    attempt_ids, seeded = zip(*(line.split() for line in lines), strict=True)
    assert len(set(attempt_ids)) == len(lines) == 4
    # The control: a generator that was seeded before the snapshot returns the same numbers in every restore.
    assert len(set(seeded)) == 1
