"""A deploy gated off, whose operations have conditions of their own or none."""

from pyinfra.api import deploy
from pyinfra.operations import server


@deploy("Gated off")
def gated_off():
    server.shell(name="no condition", commands="true")
    server.shell(name="own condition", commands="true", _if=lambda: True)


gated_off(_if=lambda: False)
