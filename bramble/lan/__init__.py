"""Raspberry Pis on this computer's network: by hardware addresses, and by the names that they give."""
