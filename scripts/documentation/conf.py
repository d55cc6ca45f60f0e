"""Settings of Sphinx for the documentation site."""

from typing import Final

from sphinx.application import Sphinx

import pygnc_system
from scripts.documentation import links, maths

project: Final = "PyGNC"
version: Final = pygnc_system.__version__
extensions: Final = ["myst_parser"]
myst_enable_extensions: Final = ["attrs_inline", "dollarmath"]
myst_heading_anchors: Final = 4
myst_links_external_new_tab: Final = False
nitpicky: Final = True
nitpick_ignore_regex: Final = [("py:.*", ".*")]  # types of other libraries, whose sites are not read while building
html_theme: Final = "furo"
html_title: Final = f"PyGNC {version}"
html_static_path: Final = [str(links.ROOT / "docs/_static")]
html_css_files: Final = ["site.css"]
html_copy_source: Final = False
html_show_sourcelink: Final = False
html_show_copyright: Final = False
html_math_renderer: Final = "mathml"
highlight_language: Final = "text"  # of blocks without a language
html_theme_options: Final = {"navigation_with_keys": True}


def setup(app: Sphinx) -> None:
    """Register the renderer of formulas."""
    app.add_html_math_renderer("mathml", (maths.visit_inline, None), (maths.visit_block, None))
