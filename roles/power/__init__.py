"""power: the processor's governor, and what the board says of its supply and its heat."""
