"""Scripts around the program: setting up, checking, testing, cleaning. Run by `make`, never shipped."""
