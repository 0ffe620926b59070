"""The thin shell over pyinfra: a look at the node, steps carried out, checks run at the end."""
