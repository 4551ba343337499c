from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from foundation.signatures import SigningKey, new_key_pair
from tests.serving.support import EchoRegistry, ServiceProcess, running_service
from tests.shares import share_of

MODELS = ("alpha", "beta", "gamma", "kappa", "omega")
"""What the shared service serves; each test has a model of its own, so that they do not meet."""


def pytest_configure(config: pytest.Config) -> None:
    # MLflow 3.17 on SQLAlchemy 2.1: theirs to settle.
    config.addinivalue_line("filterwarnings", "ignore:The ``noload`` loader strategy:DeprecationWarning")


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> EchoRegistry:
    """A registry that many tests share, as its first start takes seconds; each uses model names of its own."""
    folder = tmp_path_factory.mktemp("registry")
    new_key_pair(folder / "release.key")
    return EchoRegistry.on_sqlite(folder, signing_key=SigningKey.read(folder / "release.key"))


_SERVICE = ExitStack()
"""What ends the shared service. It reads its registry three times a second, a third of a core, so it ends with the last
test of this folder, not with the process, which goes on to other folders."""


@pytest.fixture(scope="session")
def service(registry: EchoRegistry, tmp_path_factory: pytest.TempPathFactory) -> ServiceProcess:
    """The service with version 1 of each model as champion. It takes signed archives alone, as all of these are."""
    for model in MODELS:
        registry.alias(model, "champion", registry.register(model))
    folder: Path = tmp_path_factory.mktemp("service")
    trusting = ("--trusted-keys", str(registry.folder / "release.key.pub"))
    return _SERVICE.enter_context(running_service(registry.uri, folder, MODELS, "--http-port", "0", *trusting))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    if nextitem is None or share_of(nextitem.nodeid) != "tests/serving/":
        _SERVICE.close()
