"""llama.cpp: the pinned commit, its releases, the store of builds, the builder and the race."""
