"""The golden trees' one option."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--regenerate",
        action="store_true",
        help="write the plans as they are now; look at the difference before you commit it",
    )
