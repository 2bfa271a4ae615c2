"""Accounts, devices and a chat: a FastAPI app with a sign-in, as one would put it into production.

| file | what it is about |
|---|---|
| `app.py` | the app, put together: middleware, stores, pages |
| `dependencies.py` | what an endpoint may ask for: the session, who is signed in, the form |
| `pages.py` | the pages, and what their forms do |
| `chat.py`, `redis_chat.py` | the chat's websocket; what joins several workers |
| `accounts.py`, `passwords.py` | who there is, whether a password is right, how often one may be tried |
| `browsers.py` | what to call a device |
| `__main__.py` | `python -m examples.devices`, to try it |

Left out, as each needs more than this app has: a check of the e-mail address, a way back for who has forgotten the
password, a list of passwords that are too common, and a limit of requests by address, which is the proxy's.
"""
