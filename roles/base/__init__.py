"""base: the packages that everything else stands on, on a system that may be provisioned."""
