"""Accounts, devices and a chat: a FastAPI app with a sign-in, as one would put it into production.

| file | what it is about |
|---|---|
| `app.py` | the app, put together: settings, middleware, stores, pages |
| `pages.py` | the pages, and what their forms do |
| `dependencies.py` | what an endpoint may ask for: the session, who is signed in, the form |
| `devices.py` | what the list of devices says of each session |
| `chat.py`, `redis_chat.py` | the chat's websocket; what joins several workers |
| `accounts.py`, `passwords.py` | who there is, whether a password is right, how often one may be tried |
| `__main__.py` | `python -m examples.devices`, to try it |

In production a server starts `examples.devices.app:create_app`, behind a proxy that ends TLS; the cookie is `Secure`
where the request's scheme is https.

Left out, as each needs more than this app has: a check of an e-mail address, a way back for who has forgotten the
password, a page to change it (with `Sessions.end_all`, so that it ends the other sessions), a list of passwords that
are too common, and limits of requests and messages by address, which are the proxy's.
"""
