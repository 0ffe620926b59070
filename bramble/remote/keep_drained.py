"""Have HAProxy find after a reload who is drained now, a person's own drains among them."""

import json
import sys

from bramble.remote import balancer, drains


def main(query):
    """Write it down; what fails is told, and keeps no reload from going on."""
    with open(query["plan"], encoding="utf-8") as file:
        plan = json.load(file)
    try:
        balancer.align(plan["admin"], balancer.servers(plan["admin"]))
        drains.remember(plan)
    except balancer.BalancerError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
