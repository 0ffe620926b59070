"""firewall: a table of nftables around what bramble serves, or around the whole node."""
