"""The one error of virtual Pis: a sentence for a person, with what to do about it."""


class VirtualPiError(Exception):
    """Says where, what was found, what is allowed and what to do."""
