"""The smallest whole app on Falcon.

export SESSION_SECRET=$(python -m asgi_signed_session key)
uvicorn examples.falcon_app:app
"""

import os
from typing import Any

from falcon.asgi import App, Request, Response, WebSocket

from asgi_signed_session import Session, SessionMiddleware


def describe(session: Session) -> dict[str, Any]:
    return {
        "user": session.get("user"),
        "notes": session.get("notes", []),
        "handshakes": session.get("handshakes", 0),
    }


class WhoAmI:
    async def on_get(self, req: Request, resp: Response) -> None:
        resp.media = describe(req.scope["session"])


class Login:
    async def on_post(self, req: Request, resp: Response) -> None:
        session: Session = req.scope["session"]
        user = req.get_param("user", required=True)
        session.principal = user  # first: it empties a session that belonged to somebody else
        session["user"] = user
        session.regenerate()
        resp.media = describe(session)


class Notes:
    async def on_post(self, req: Request, resp: Response) -> None:
        session: Session = req.scope["session"]
        session.setdefault("notes", []).append(req.get_param("note", required=True))
        resp.media = describe(session)


class Logout:
    async def on_post(self, req: Request, resp: Response) -> None:
        session: Session = req.scope["session"]
        session.clear()
        resp.media = describe(session)


class Handshake:
    async def on_websocket(self, req: Request, ws: WebSocket) -> None:
        session: Session = req.scope["session"]
        if "user" not in session:
            await ws.close()  # before the accept, this refuses the handshake
            return
        session["handshakes"] = session.get("handshakes", 0) + 1
        await ws.accept()  # the cookie goes out here
        await ws.send_media(describe(session))
        await ws.close()


api = App()
api.add_route("/", WhoAmI())
api.add_route("/login", Login())
api.add_route("/notes", Notes())
api.add_route("/logout", Logout())
api.add_route("/ws", Handshake())

app = SessionMiddleware(api, os.environ["SESSION_SECRET"])
