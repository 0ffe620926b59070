"""A module that acts when it is imported: the pattern to avoid."""

from pyinfra.operations import server

server.shell(name="Act at import", commands="true")
