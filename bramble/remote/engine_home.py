"""The names in the engine's folder on a node, for the programs there and for this computer."""

CURRENT = "current"
PREVIOUS = "previous"
RELEASES = "releases"
GOOD = "good.json"
REJECTED = "rejected"
MANIFEST = "manifest.json"
SMOKE = "smoke.json"
