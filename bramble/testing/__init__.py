"""Help for tests: the plugin of pytest, one role alone, and whole plans against golden trees."""

RUN = "bramble-hosts"
"""The name under which a run on hosts is registered with pytest."""
