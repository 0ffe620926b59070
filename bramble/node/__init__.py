"""What several roles ask of a look at a node: container, SSD, vital signs, folders of root alone."""
