"""An e-mail to who looks after the practice's computers. Figures and codes only."""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from agent.errors import AgentError

TIMEOUT_S = 20.0


class NotSent(AgentError):
    """The mail server did not take it. Tried again."""

    code = "alert.not_sent"


@dataclass(frozen=True, slots=True)
class Mailbox:
    """``security``: starttls, tls or none (only for a server on this computer or line)."""

    host: str
    port: int
    security: str
    user: str
    password: str
    sender: str
    to: tuple[str, ...]


def send(box: Mailbox, subject: str, text: str) -> None:
    """Raises NotSent."""
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, box.sender, ", ".join(box.to)
    message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain="bridgework.invalid")
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    try:
        with _connected(box) as server:
            if box.security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if box.user:
                server.login(box.user, box.password)
            server.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        raise NotSent(way="email", reason=type(error).__name__) from None


def _connected(box: Mailbox) -> smtplib.SMTP:
    if box.security == "tls":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(box.host, box.port, timeout=TIMEOUT_S, context=context)
    return smtplib.SMTP(box.host, box.port, timeout=TIMEOUT_S)
