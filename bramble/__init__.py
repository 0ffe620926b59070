"""The engine of bramble: settings, snapshot, plan, operations, checks and reports; it knows no role."""

__version__ = "0.1.0"
