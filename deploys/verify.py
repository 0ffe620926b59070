"""Check nodes as they are: every role's checks, nothing changed."""

from bramble.pyinfra.run import begin
from bramble.pyinfra.verification import finish

finish(begin())
