"""engine: llama.cpp, built on the node from a pinned source, as a release beside the others."""
