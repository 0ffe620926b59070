"""base: the packages that everything else depends on, on a system that may be provisioned."""
