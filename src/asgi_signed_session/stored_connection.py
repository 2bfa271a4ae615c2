"""One connection whose session is in a store."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Final, Literal

from .connection import Connection
from .decision import SAVING, Owed
from .errors import SessionError
from .messages import START_OF, Message, Start, accept_takes_headers, is_end
from .origins import find_method
from .place import Phase
from .record import NOTHING, REJECTED, Record, Wishes
from .reporting import report_not_renewed
from .session import Session, forget_max_age, give_up, make_unread, read_now, settle, stay_changed, take, take_over
from .store_keeper import ENDED, RENEWED, SessionEndedError
from .store_reader import Unanswered
from .turns import Turns
from .unloaded import UnloadedSession

# Once it is closed it stays so, though a task of the app may go on.
_STARTED: Final[dict[Phase, Phase]] = {"open": "started", "started": "started", "closed": "closed"}


class StoredConnection(Connection):
    """One connection whose session is kept in a store: reading and saving are awaited, and late changes saved."""

    __slots__ = ("turns", "unanswered")

    turns: Turns  # of its tasks
    unanswered: Unanswered
    # The place's own, said once more: pyright --verifytypes calls what is only assigned here ambiguous.
    first_message: Message | None
    phase: Phase
    session: Session

    async def serve(self, app: Any, receive: Any, source: Any) -> None:
        """Reads the session, calls ``app`` and saves what it has changed; a touch may open it from ``source``."""
        failed = True
        try:
            await self._read(source)
            await app(self.scope, receive, self.send)
            failed = False
        except GeneratorExit:  # closed rather than cancelled: nothing can be awaited any more
            self.phase, self.turns = "open", Turns()  # nor the turn that a task of the app may have
            raise
        finally:
            try:
                if self._may_have_changed():
                    await self._save_at_the_end(failed)
                self._warn_of_late_reading()
            finally:
                self._leave()

    async def _save_at_the_end(self, failed: bool) -> None:
        try:
            await self._save_late(failed=failed and self.phase == "open")
        except Exception:
            if not failed:
                raise
            if self.session._state is not None:  # otherwise the store could not even be read
                self._report(
                    "The store failed to write them, and the app had failed before: see to the app's error first."
                )

    async def _read(self, source: Any) -> None:
        parts = self.parts
        self.turns, self.unanswered = Turns(), {}
        reads_now = parts.keeper.autoload and not parts.keeper.reads_when_touched
        found: Any = NOTHING  # where the store fails, an error page around us finds an empty session
        try:
            found = await self._find() if reads_now else source
        finally:
            session = self.session = self.scope[parts.scope_key] = make_unread(parts.opener, found, self)
            self.scope[parts.marker] = self  # only now: another call may find the scope while the store is read
            if not parts.keeper.autoload:
                session.__class__ = UnloadedSession  # of the same layout

    async def _find(self) -> Record:
        guard = self.parts.guard
        if guard is not None and guard.bars(find_method(self.scope), self.headers):
            return REJECTED["cross-site"]
        record: Record = await self.parts.keeper.find(self.headers)
        return record

    async def load(self) -> None:
        """Reads the session from the store: for the first time, or again."""
        is_first = isinstance(self.session, UnloadedSession)
        if not self.turns.take_now():
            await self.turns.take()
        try:
            await (self._load_first() if is_first else self._load_again())
        finally:
            self.turns.give_back()

    async def _load_first(self) -> None:
        session = self.session
        if isinstance(session, UnloadedSession):  # another task may have been quicker
            read_now(session, await self._find())

    async def _load_again(self) -> None:
        session, keeper = self.session, self.parts.keeper
        session.mark_accessed()
        if session.rejected == "unavailable":
            record = await keeper.find(self.headers)
            take_over(session, record.content, record)
        if session._wishes.need_new_id(session._record):  # nothing of before is to stay: what is saved settles it
            return
        stored = await keeper.look(session._record)
        content, record = keeper.compare(stored, session, session._record, self.unanswered)
        if record.rejected is not None:
            self._report(RENEWED if record.rejected == "superseded" else ENDED, "session.ended")
        take_over(session, content, record)

    async def save(self) -> None:
        """Saves what has changed, unless it needs a cookie that is still to go out."""
        if not self._may_have_changed():
            return
        session = self.session
        if self.phase == "open":
            self.take_replacement()
            if session._state is None or self.parts.keeper.needs_cookie(session._wishes, session._record):
                return
        try:
            await self._save_late()
        except BaseException:
            stay_changed(session)
            raise

    def check_renewal(self) -> None:
        """Raises ``SessionError`` once the cookie has gone out: no browser would learn the new id."""
        if self.phase != "open":
            raise SessionError(
                "regenerate() or a new principal after the response has started or the websocket was accepted: no"
                " cookie can carry the new id any more. Call it earlier, or on a request of its own."
            )

    def send(self, message: Message) -> Awaitable[None]:
        start = START_OF[message["type"]]
        if start is None and not self._may_have_changed():
            return self.pass_on(message)
        return self._send_saved(message, start)

    async def _send_saved(self, message: Message, start: Start | None) -> None:
        if start is not None:
            if start == "accept" and not accept_takes_headers(self.scope):
                self.phase = _STARTED[self.phase]
            owed = self._find_owed(start)
            if owed in SAVING:
                owed = await self._save_at_the_start(start, owed)
            self.phase = _STARTED[self.phase]
            if self.first_message is None and self.session._state is None:
                self.first_message = message
            message = self._add_headers(message, start, owed)
        elif is_end(message):
            # So that the visitor's next request finds it, however long the app goes on.
            await self._save_late()
        await self.pass_on(message)

    async def _save_at_the_start(self, start: Start, owed: Owed) -> Owed:
        """Saves what a response's start owes the session. Returns what it did owe when this task's turn had come."""
        if not self.turns.take_now():
            await self.turns.take()
            owed = self._find_owed(start)
        before, self.phase = self.phase, _STARTED[self.phase]
        try:
            ended = await self._save_stored(owed) if owed in SAVING else None
        except BaseException:  # nothing goes out
            if self.phase != "closed":
                self.phase = before
            raise
        finally:
            self.turns.give_back()
        if ended is not None:
            self._report(str(ended), "session.ended")
        return owed

    async def _save_late(self, failed: bool = False) -> None:
        """Saves what has changed since the cookie went out, unless the app has failed without an answer."""
        if not self.turns.take_now():
            await self.turns.take()
        try:
            await self._save_changes(failed)
        finally:
            self.turns.give_back()

    async def _save_changes(self, failed: bool) -> None:
        self._take_late_replacement(self.scope)
        if self.session._is_changed():
            is_barred = failed or self._is_cross_site()
            ended = None if is_barred else await self._save_stored("late")
            if ended is not None:
                self._report(str(ended), "session.ended")
            elif is_barred or self._has_unmet():
                self._report(self._why_unsaved(failed))
                forget_max_age(self.session)

    def _has_unmet(self) -> bool:
        """Whether something could not be saved as it is, too late for a cookie."""
        session = self.session
        return session._wishes.max_age is not False or (session._record.version is None and bool(session))

    async def _save_stored(self, owed: Owed | Literal["late"]) -> SessionEndedError | None:
        """Saves the session, or says why it may not be saved any more."""
        session, keeper = self.session, self.parts.keeper
        record, wishes = self._take(owed)
        before = self.set_cookie
        if owed != "late":
            self.set_cookie = None
        try:
            if not session and wishes.end(record):
                record, set_cookie = await keeper.drop(wishes, record, self._is_secure())
            else:
                record, set_cookie = await keeper.keep(
                    session, wishes, record, self._is_secure(), owed, self.unanswered
                )
        except SessionEndedError as error:
            give_up(session)
            return error
        except BaseException as error:
            give_up(session)
            if not isinstance(error, Exception):  # no error that anyone would see
                self._report("The app was cancelled before the store had them.")
            elif owed == "renew":
                report_not_renewed(self.scope, error)
                return None
            raise
        if owed != "late":
            self.set_cookie = set_cookie or before  # that of a start which has failed to go out
        settle(session, record, wishes)
        return None

    def _take(self, owed: Owed | Literal["late"]) -> tuple[Record, Wishes]:
        """What is to be saved, and the wishes for it."""
        session = self.session
        record, wishes = take(session)
        if record.version is None and session.store_key is not None:
            record, wishes = take(session)  # with the id that it has now: a second try writes over the first
        # No cookie can carry it: it stays, and is reported.
        return record, wishes.without_max_age() if owed == "late" else wishes
