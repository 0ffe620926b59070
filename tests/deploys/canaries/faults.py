"""One host, @local, meets the fault named by the data `fault`; then every host carries on."""

import os
import signal

from canary_notes import note, watch
from pyinfra import host, state
from pyinfra.api import FactBase, FunctionCommand, OperationError, operation
from pyinfra.api.exceptions import FactProcessError
from pyinfra.operations import server


class UnguardedParser(FactBase):
    command = "echo nonsense"

    def process(self, output):
        raise ValueError("cannot parse")


class GuardedParser(FactBase):
    command = "echo nonsense"

    def process(self, output):
        raise FactProcessError("cannot parse")


class FailingProbe(FactBase):
    command = "false"


def raise_value_error():
    raise ValueError("raised in a yielded function")


def return_false():
    return False


def return_false_about(state, host):
    return False


def interrupt(state, host):
    os.kill(os.getpid(), signal.SIGINT)


@operation()
def meet(fault):
    if fault == "operation raises" and state.is_executing:
        raise OperationError("raised in an operation")
    if fault == "parser raises":
        host.get_fact(UnguardedParser)
    if fault == "guarded parser":
        host.get_fact(GuardedParser)
    if fault == "fact command fails":
        host.get_fact(FailingProbe)
    if fault == "command fails":
        yield "false"
    if fault == "function raises":
        yield FunctionCommand(raise_value_error, (), {})
    if fault == "function of nothing returns False":
        yield FunctionCommand(return_false, (), {})
    if fault == "function of state and host returns False":
        yield FunctionCommand(return_false_about, (), {})
    if fault == "Ctrl-C":
        yield FunctionCommand(interrupt, (), {})
    yield "echo continued after the fault >> notes"


watch(state)
fault = host.data.fault if host.name == "@local" else "none"
if fault == "role code raises":
    raise ValueError("raised in role code")
if fault == "fact command fails in role code":
    note(f"role code of {host} got {host.get_fact(FailingProbe)}")
meet(name="Meet the fault", fault=fault)
server.shell(name="Carry on", commands="true")
