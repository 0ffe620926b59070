"""Every way to give a command its standard input, and what each command then read."""

from io import StringIO

from canary_notes import note
from pyinfra import host
from pyinfra.api import FactBase, FunctionCommand, StringCommand, operation
from pyinfra.operations import server


class Read(FactBase[list]):
    default = list
    command = "cat"

    def requires_command(self):
        return "cat"

    def process(self, output):
        return output


class ReadOwn(FactBase[list]):
    default = list

    def command(self):
        return StringCommand("cat", _stdin="fact's own")

    def process(self, output):
        return output


def print_while_running(state, host):
    command = "echo ${CANARY:-nothing}; cat"
    succeeded, output = host.run_shell_command(command, _stdin="shown", print_output=True)
    note(f"run_shell_command: {succeeded} {output.stdout_lines}")


@operation()
def read_each():
    yield StringCommand("cat > command", _stdin="command's own")
    yield StringCommand("cat > no-newline-twice", _stdin="line\n")
    yield StringCommand("cat > lines", _stdin=["one", "two\n"])
    yield StringCommand("cat > buffer", _stdin=StringIO("one\ntwo"))
    yield FunctionCommand(print_while_running, (), {})


@operation()
def read_the_operations():
    note(f"fact in an operation: {host.get_fact(Read)}")
    yield "cat > operation-first"
    yield "cat > operation-second"
    yield StringCommand("cat > operation-overridden", _stdin="command's own")


note(f"get_fact: {host.get_fact(Read, _stdin='argument')}")
note(f"get_fact with a buffer: {host.get_fact(Read, _stdin=StringIO('buffer'))}")
note(f"fact's own StringCommand: {host.get_fact(ReadOwn)}")
read_each(name="Read each", _env={"CANARY": "inherited"})
read_the_operations(name="Read the operation's", _stdin="operation's")
server.shell(name="Read in server.shell", commands="cat > shell", _stdin="argument")
