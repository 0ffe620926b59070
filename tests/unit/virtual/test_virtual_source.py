"""Who fetches llama.cpp's source for virtual Pis."""

import subprocess
import sys

from bramble.virtual import source


def test_a_python_without_pip_has_one_made_that_has_it(monkeypatch, tmp_path):
    assert source._python(tmp_path) == sys.executable
    monkeypatch.setattr(source, "find_spec", lambda name: None)
    python = source._python(tmp_path)
    assert python.startswith(str(tmp_path))
    said = subprocess.run([python, "-m", "pip", "--version"], capture_output=True, text=True)
    assert said.stdout.startswith("pip ")
