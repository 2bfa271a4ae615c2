"""The sessions of examples/raw.py, for the app's own pages alone."""

import os

from asgi_signed_session import SessionMiddleware
from examples.raw import router

app = SessionMiddleware(router, os.environ["SESSION_SECRET"], trusted_origins=())
