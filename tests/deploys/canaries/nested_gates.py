"""Two deploys, one in the other, each with a bare callable as condition."""

from pyinfra.api import deploy
from pyinfra.operations import server


@deploy("Outer")
def outer():
    inner(_if=lambda: True)


@deploy("Inner")
def inner():
    server.shell(name="act", commands="true")


outer(_if=lambda: True)
