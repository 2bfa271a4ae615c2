"""Packages that people use with Starlette's session middleware: their tests pass as well on ours."""
