"""The AWS emulator in memory, for as long as a context is open.

``carousel_sync.local_stack`` starts the same emulator for users: detached, with a state directory, and with
template.yaml deployed on it.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from carousel_sync.local_stack import state
from testbed.server_process import HOST, ServerProcess, free_port, running

REGION: Final = state.REGION
ACCESS_KEY: Final = state.ACCESS_KEY_ID
SECRET_KEY: Final = state.SECRET_ACCESS_KEY

CLIENT_ENVIRONMENT: Final = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""The environment variables that a client of the emulator needs, apart from its address."""


def emulator(folder: Path, *, verifies_signatures: bool = False) -> AbstractContextManager[ServerProcess]:
    """Run the emulator. ``folder`` receives its log and temporary files. Raises ServerNotStarted.

    It accepts any signature, unless ``verifies_signatures`` has it check those of its IAM users.
    """
    port = free_port()
    environment = {
        "AWS_DEFAULT_REGION": REGION,
        "MINISTACK_REGION": REGION,
        "GATEWAY_PORT": str(port),
        "BIND_HOST": HOST,
        "AUTH": str(verifies_signatures).lower(),
    }
    command, path = [sys.executable, "-m", "ministack"], "/_ministack/ready"
    return running("ministack", command, port=port, folder=folder, environment=environment, ready_path=path)
