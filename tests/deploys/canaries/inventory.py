"""Two fake hosts with different roles, and a setting given for the group and for one host."""

nodes = (
    [
        ("@fake/a", {"roles": ["base", "engine"], "llama": {"port": 9000}}),
        ("@fake/b", {"roles": ["engine"]}),
    ],
    {"llama": {"port": 8080, "slots": 2}},
)
