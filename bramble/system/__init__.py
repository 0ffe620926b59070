"""Files and states of a Linux system: parsers and editors that know of no role."""
