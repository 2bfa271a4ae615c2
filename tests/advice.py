"""What a warning of an unsaved change says to do."""

TOO_LATE = (
    "The cookie is sent when a response starts or a websocket is accepted, and neither happened after this change:"
    " make it earlier."
)
FAILED = (
    "The app failed or was cancelled, and after this change, no response started and no websocket was accepted:"
    " make it earlier, or put the middleware around the code that answers errors."
)
NO_HEADERS = "This server sends no headers with websocket.accept; change the session on an HTTP request instead."
ENDED = "The session was ended meanwhile, or has expired; the visitor's next request finds it empty."
RENEWED = (
    "Another request has signed in or called regenerate() meanwhile, so this one can't change the session any more;"
    " the visitor's next request finds that session."
)
SUPERSEDED = (
    "The request's cookie is from before a sign-in, so its session stays empty; to sign in with it, call"
    " session.regenerate() or set session.principal."
)
UNREADABLE = (
    "The record that is in the store now can't be read: give all apps that share it the same keys, the same cookie"
    " name and"
    " the same serializer."
)
TOO_LATE_TO_RENEW = "regenerate() needs a cookie, and none could be sent any more; nothing was saved after it."
