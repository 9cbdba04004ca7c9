"""Messages and events that both kinds of account receive, in our words."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from connectors.kit.official.fields import Fields, Words, always, inner, notices, said, tagged
from scrm.contract import Piece

MESSAGES: Mapping[str, Words] = MappingProxyType(
    {
        "text": lambda fields: said(fields, "Content"),
        "image": tagged("图片"),
        "voice": tagged("语音", "Recognition"),
        "video": tagged("视频"),
        "shortvideo": tagged("小视频"),
        "location": tagged("位置", "Label"),
        "link": tagged("链接", "Title", "Url"),
        "miniprogrampage": tagged("小程序", "Title"),
    }
)
_CHOICES = {"accept": "同意", "reject": "拒绝", "ban": "被平台禁用"}


def _chosen(sentence: str) -> Words:
    """A sentence with how many templates were accepted and refused."""

    def words(fields: Fields) -> str:
        told = [inner(one, "SubscribeStatusString") for one in notices(fields)]
        counts = [f"{word} {told.count(key)} 个" for key, word in _CHOICES.items() if key in told]
        return f"{sentence}：{'，'.join(counts)}" if counts else sentence

    return words


def refused(one: Fields) -> bool:
    """Whether a sent subscription message did not arrive."""
    return inner(one, "ErrorCode") not in ("", "0")


def _sent(fields: Fields) -> str:
    failed = [one for one in notices(fields) if refused(one)]
    if not failed:
        return "订阅消息已送达"
    return f"订阅消息未送达：{inner(failed[0], 'ErrorStatus') or '平台发送失败'}"


EVENTS: Mapping[str, tuple[str, Words]] = MappingProxyType(
    {
        "subscribe_msg_popup_event": ("event.notice.popup", _chosen("在订阅弹窗中做了选择")),
        "subscribe_msg_change_event": ("event.notice.changed", _chosen("修改了订阅设置")),
        "subscribe_msg_sent_event": ("event.notice.sent", _sent),
        "user_enter_tempsession": ("event.tempsession.entered", always("进入了客服会话")),
        "user_info_modified": ("event.authorization.modified", always("修改了授权资料")),
        "user_authorization_revoke": ("event.authorization.revoked", always("撤回了资料授权")),
        "user_authorization_cancellation": ("event.authorization.cancelled", always("注销了账号授权")),
    }
)

_VOICES = {"amr": "audio/amr", "speex": "audio/speex", "silk": "audio/silk"}


def pieces(kind: str, fields: Fields) -> tuple[Piece, ...]:
    """The files of a message, named by their media id."""
    media_id = said(fields, "ThumbMediaId" if kind == "miniprogrampage" else "MediaId")
    if not media_id:
        return ()
    match kind:
        case "image" | "miniprogrampage":
            return (Piece(ref=media_id, kind="image"),)
        case "voice":
            return (Piece(ref=media_id, kind="voice", mime=_VOICES.get(said(fields, "Format").lower(), "")),)
        case "video" | "shortvideo":
            return (Piece(ref=media_id, kind="video"),)
    return ()
