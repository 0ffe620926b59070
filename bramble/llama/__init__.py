"""llama.cpp: which commit is pinned, its releases, the store of builds, the builder and the race."""
