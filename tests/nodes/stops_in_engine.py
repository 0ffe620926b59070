"""A deploy that stops after the engine's first steps (`--data steps=N`), to be killed there."""

import threading

from pyinfra.api import FunctionCommand, operation
from pyinfra.context import host

from bramble.ops.run import begin, carry_out


@operation()
def stop():
    """Never end."""
    yield FunctionCommand(_stop, (), {})


def _stop(state, host):
    host.log("stopped between two steps")
    threading.Event().wait()


node = begin()
for number in host.loop(range(int(host.data.steps))):
    carry_out(name=f"engine step {number}", node=node, role="engine", number=number, way="steps")
stop(name="Stop")
