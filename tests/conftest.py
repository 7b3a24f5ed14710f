"""Setup of all tests: dummy credentials, none of the machine's AWS settings, and the shared fixtures."""

from __future__ import annotations

import os

from hypothesis import settings

# A machine that is busy with other work must not fail a property.
settings.register_profile("without-deadline", deadline=None)
settings.load_profile("without-deadline")

pytest_plugins = ["tests.engines.fixtures", "tests.stack", "tests.tables", "tests.engines.readers.fixtures"]

for _name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[_name]
os.environ.update(
    AWS_ACCESS_KEY_ID="test",
    AWS_SECRET_ACCESS_KEY="test",
    AWS_EC2_METADATA_DISABLED="true",
    POWERTOOLS_METRICS_DISABLED="false",
)
