"""Benchmark nodes as they serve; `bramble bench` judges and compares what it keeps."""

from bramble.pyinfra.bench import bench
from bramble.pyinfra.run import gather_facts

bench(gather_facts())
