"""A role whose operation stands on the same line number as the other role's."""

from pyinfra.operations import server


def apply():
    server.shell(name="Set up base", commands="true")
