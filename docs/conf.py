"""The site's settings: `make docs` builds README.md, CONTRIBUTING.md, CHANGELOG.md and docs/ into site/.

The source folder is the repository's top, so that relative links hold here and on GitHub alike.
"""

project = "bramble"
author = "bramble's contributors"
copyright = author

extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/*.md", "docs/**/*.md", "bramble/virtual/recorded/README.md"]
# Folders without pages, and links to them: the search for pages would follow these.
exclude_patterns = [
    ".*",
    "bramble-try",
    "bramble/roles",
    "bramble/shipped",
    "bramble/templates",
    "build",
    "docs/pages",
    "reports",
    "roles",
    "site",
    "templates",
    "tests",
]

myst_heading_anchors = 4
html_theme = "furo"
html_title = "bramble"
html_extra_path = ["front"]
html_copy_source = False
html_show_sphinx = False
