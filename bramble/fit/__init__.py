"""Whether a model fits a node: what llama.cpp will take, computed from the model's header alone."""
