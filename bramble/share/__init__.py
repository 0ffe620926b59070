"""What only real boards can show, in one text file, with names and secrets replaced."""
