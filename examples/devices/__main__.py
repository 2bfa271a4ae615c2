"""Start the app to try it: one process, or several with Redis.

    python -m examples.devices [--port PORT] [--store sqlite | redis://HOST:PORT] [--workers NUMBER]

The environment holds the key as SESSION_SECRET, and older keys as SESSION_SECRET_FALLBACKS, separated by spaces.
Where it holds none, one is made and kept beside the accounts, in the folder that DEVICES_FOLDER names.
"""

from __future__ import annotations

import argparse
import os
import secrets
from pathlib import Path

import uvicorn

PORT = 8001


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}", description="Accounts, devices and a chat.")
    parser.add_argument("--port", type=int, default=PORT, help=f"default {PORT}; 0: any that is free")
    parser.add_argument("--store", default="sqlite", help="where the sessions are: sqlite or redis://HOST:PORT")
    parser.add_argument("--workers", type=int, default=1, help="processes, default 1; more need Redis")
    options = parser.parse_args()
    if options.store != "sqlite" and not options.store.startswith(("redis://", "rediss://")):
        parser.error(f"{options.store!r} is neither sqlite nor redis://HOST:PORT")
    if options.workers > 1 and options.store == "sqlite":
        parser.error("--workers needs --store redis://HOST:PORT: without it, each worker has a chat of its own")
    return options


def find_secret(folder: Path) -> str:
    """Find the key of the last time, or make one: nobody is signed out by a restart."""
    file = folder / "secret"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(32), encoding="ascii")
    return file.read_text(encoding="ascii")


def main() -> None:
    options = parse_options()
    folder = Path(os.environ.setdefault("DEVICES_FOLDER", ".devices"))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The environment, as each worker reads its settings from there.
    if not os.environ.get("SESSION_SECRET"):
        os.environ["SESSION_SECRET"] = find_secret(folder)
    if options.store != "sqlite":
        os.environ["DEVICES_REDIS_URL"] = options.store
    uvicorn.run(
        f"{__package__}.app:create_app",
        factory=True,
        port=options.port,
        workers=options.workers,
        access_log=False,
        ws_max_size=4096,  # bytes of a message
        timeout_graceful_shutdown=1,  # seconds for those who chat
    )


if __name__ == "__main__":
    main()
