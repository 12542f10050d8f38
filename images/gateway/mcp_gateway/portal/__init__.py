"""The web pages: plain HTML from templates, one style sheet, no script."""
