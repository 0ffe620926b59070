"""Check nodes as they are: every role's checks, nothing changed."""

from bramble.pyinfra.run import gather_facts
from bramble.pyinfra.verification import verify

verify(gather_facts())
