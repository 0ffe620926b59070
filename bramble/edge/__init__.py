"""HAProxy of Debian before models: what the way in of a node and the gateway of a fleet share."""
