"""Imports a module that acts, then acts itself."""

import canary_at_import  # noqa: F401
from pyinfra.operations import server

server.shell(name="Act in the deploy file", commands="true")
