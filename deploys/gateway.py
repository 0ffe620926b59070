"""Make the gateway of a fleet: what it needs of its host, HAProxy, the firewall and the checks."""

from bramble.deploys import base, firewall, gateway, verify

base()
gateway()
firewall()
verify("base", "gateway", "firewall")
