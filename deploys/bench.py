"""Benchmark nodes as they serve; `bramble bench` judges and compares what it keeps."""

from bramble.pyinfra.bench import bench
from bramble.pyinfra.run import begin

bench(begin())
