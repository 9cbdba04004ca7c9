"""Every expected error: an HTTP status, whether a retry may help, and a sentence for a human."""

from __future__ import annotations

from typing import ClassVar


class ScrmError(Exception):
    """出了点问题，请稍后再试。"""

    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, sentence: str = "") -> None:
        super().__init__(sentence or (self.__doc__ or "").strip())

    @property
    def sentence(self) -> str:
        return str(self.args[0])


class BadConfig(ScrmError):
    """配置有误。"""


class BadInput(ScrmError):
    """提交的内容有误。"""

    status = 400


class Refused(BadInput):
    """A callback that is forged, altered, stale or unreadable: nothing of it is stored."""

    status = 403


class Unreadable(Refused):
    """A callback whose envelope cannot be parsed: answered 400, nothing stored."""

    status = 400


class Untranslatable(BadInput):
    """A stored payload the connector cannot read: the row is quarantined and can be replayed."""

    status = 422


class NotSignedIn(ScrmError):
    """请先登录。"""

    status = 401


class Forbidden(ScrmError):
    """你没有权限查看或操作这项内容。"""

    status = 403


class NotFound(ScrmError):
    """没有找到这项内容。"""

    status = 404


class Conflict(ScrmError):
    """这项内容刚刚被别人改动了。"""

    status = 409


class TooLarge(BadInput):
    """内容太大了，请缩小后再发。"""

    status = 413


class TooMany(ScrmError):
    """操作太频繁，请稍后再试。"""

    status = 429
    retryable = True


class Answered(Conflict):
    """同事刚刚回复了这位客户，请先看一眼再发。"""

    def __init__(self, event_ids: tuple[int, ...]) -> None:
        super().__init__()
        #: What was said meanwhile, oldest first.
        self.event_ids = event_ids


class Busy(ScrmError):
    """系统正忙，请稍后重试。"""

    status = 503
    retryable = True


class Unavailable(Busy):
    """数据库暂时不可用，请稍后重试。"""


class Overtaken(Unavailable):
    """另一个进程已经处理了这些消息。"""


class Unsealable(ScrmError):
    """The sealed value was altered, moved to another row, or its key was destroyed."""


class NotSent(ScrmError):
    """The platform did not take the push; it certainly was not delivered and may be tried again."""

    status = 503
    retryable = True

    def __init__(
        self,
        sentence: str,
        *,
        retry_after_s: float | None = None,
        code: str = "",
        effect: str = "",
        retries: int | None = None,
    ) -> None:
        super().__init__(sentence)
        self.retry_after_s = retry_after_s
        #: The platform asks not to be called more often after this; None = as often as anything.
        self.retries = retries
        #: The vendor's own.
        self.code = code
        #: What it means for us, as in `scrm.push.effects`; "" = nothing beyond this push.
        self.effect = effect


class Rejected(ScrmError):
    """The platform refused the push for good; it was not delivered and a retry cannot help."""

    status = 422

    def __init__(self, sentence: str, *, code: str = "", effect: str = "") -> None:
        super().__init__(sentence)
        self.code = code
        #: What it means for us, as in `scrm.push.effects`; "" = nothing beyond this push.
        self.effect = effect


class Unknown(ScrmError):
    """可能已发送：平台没有给出明确结果。"""

    status = 504
