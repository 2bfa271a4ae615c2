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
