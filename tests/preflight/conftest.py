"""`pytest tests/preflight` in a checkout: the checks alone, on all hosts or those of --hosts."""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Ask for all hosts where none is named."""
    config.option.hosts = config.option.hosts or "all"
