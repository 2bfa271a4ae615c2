"""What a warning of an unsaved change says to do."""

TOO_LATE = (
    "The cookie goes out with the start of the response or the accept of the websocket, and neither came after"
    " this change: make it earlier."
)
FAILED = (
    "The app failed or was cancelled, and neither the start of a response nor an accept came after this change:"
    " make it earlier, or put the middleware around what answers for errors."
)
NO_HEADERS = "This server sends no headers with websocket.accept; change the session on an HTTP request instead."
ENDED = "The session was ended meanwhile, or has expired; the visitor's next request finds it empty."
RENEWED = (
    "Another request has signed in or renewed the session meanwhile, and what was begun before has no part in it;"
    " the visitor's next request finds that session."
)
SUPERSEDED = (
    "The cookie that came is of a time before a sign-in, and its session stays empty; to sign in with it, call"
    " session.regenerate() or set session.principal."
)
UNREADABLE = (
    "What is in the store by now can't be read: give all apps that share it the same keys, the same cookie's name and"
    " the same serializer."
)
TOO_LATE_TO_RENEW = "regenerate() needs a cookie to go out, and none could; nothing was saved after it."
