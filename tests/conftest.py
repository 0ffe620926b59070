"""What all tests have: the marker `fault`, and the options that make the proofs longer."""

pytest_plugins = ("tests.faults.plugin",)
