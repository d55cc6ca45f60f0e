"""Parts of the documentation site that are generated while it is built; mkdocs.yml describes the site."""
