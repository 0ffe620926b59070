"""What a node's benchmark shows: kept results, and what is to be thought of them."""
