"""The web pages: plain HTML from templates, one style sheet, and one script that nothing depends on."""
