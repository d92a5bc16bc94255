"""Chat sessions in memory, as `chat/listAllSessions` and its siblings show them (section 4.6)."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from lingma_cli.demo.answers import Ask

_SESSION_LIMIT = 1_000
_TEXT_LIMIT = 100_000


@dataclass(slots=True, kw_only=True)
class Session:
    """One session; times are Unix milliseconds."""

    id: str
    title: str
    kind: str
    created_ms: int
    changed_ms: int
    turns: int = 0
    records: list[dict[str, object]] = field(default_factory=list)

    @property
    def history(self) -> tuple[tuple[str, str], ...]:
        """Each question that was answered, with its answer."""
        return tuple((str(one["question"]), str(one["answer"])) for one in self.records)

    def render(self) -> dict[str, object]:
        """Render as the plugin's session object."""
        return {
            "sessionId": self.id,
            "sessionTitle": self.title,
            "chatRecords": self.records,
            "gmtCreate": self.created_ms,
            "gmtModified": self.changed_ms,
            "sessionType": self.kind,
            "userId": "demo-user",
            "userName": "demo",
            "projectId": "",
            "projectUri": "",
            "projectName": "",
        }


class Sessions:
    """All sessions of the process; the oldest is forgotten above a thousand."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    def open(self, identity: str, kind: str, title: str, now_ms: int) -> Session:
        """Return the session of an id, made if it is new, with one turn more."""
        session = self._sessions.get(identity)
        if session is None:
            session = Session(
                id=identity, title=title, kind=kind, created_ms=now_ms, changed_ms=now_ms
            )
            self._sessions[identity] = session
            if len(self._sessions) > _SESSION_LIMIT:
                del self._sessions[next(iter(self._sessions))]
        session.turns += 1
        session.changed_ms = now_ms
        return session

    def record(self, ask: Ask, answer: str, reasoning: str) -> None:
        """Store a finished exchange with its session, if that is still known."""
        session = self._sessions.get(ask.session_id)
        if session is None:
            return
        session.records.append(
            {
                "requestId": ask.request_id,
                "sessionId": ask.session_id,
                "chatTask": ask.params.get("chatTask"),
                "chatContext": None,
                "question": ask.prompt[:_TEXT_LIMIT],
                "answer": answer[:_TEXT_LIMIT],
                "extra": None,
                "likeStatus": 0,
                "gmtCreate": ask.received_ms,
                "gmtModified": ask.received_ms,
                "filterStatus": "",
                "sessionType": session.kind,
                "summary": "",
                "intentionType": "chat",
                "reasoningContent": reasoning,
            }
        )

    def get(self, identity: object) -> Session | None:
        """Return a session by id."""
        return self._sessions.get(identity) if isinstance(identity, str) else None

    def delete(self, identity: object) -> None:
        """Forget a session; an unknown id is no error."""
        if isinstance(identity, str):
            self._sessions.pop(identity, None)

    def all(self) -> Iterable[Session]:
        """Return every session, oldest first."""
        return tuple(self._sessions.values())
