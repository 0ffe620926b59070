"""Benchmark nodes as they serve; `bramble bench` judges and compares what it keeps."""

from bramble.ops.bench import bench
from bramble.ops.run import begin

bench(begin())
