"""Lines for people, from a program that works for long."""


def say(text):
    """Print a line, which the follower passes on for its "::", without what would control a terminal."""
    print(f":: {''.join(c if c.isprintable() else '?' for c in text)}", flush=True)
