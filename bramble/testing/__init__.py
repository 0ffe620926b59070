"""Help for tests: the plugin of pytest, one role alone, and whole plans against golden trees."""
