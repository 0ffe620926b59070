"""Connections to hosts: OpenSSH's configuration, keys, known hosts, trust, and what went wrong."""
