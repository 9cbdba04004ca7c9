"""The names of everything WeCom tells: its own words -> our kind and a Chinese sentence for the timeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from connectors.kit import xml

_Fields = dict[str, Any]
_Words = Callable[[_Fields], str]
_Row = tuple[str, _Words]


def _said(fields: _Fields, name: str) -> str:
    return xml.text(fields, name, "")


def _always(sentence: str) -> _Words:
    return lambda _fields: sentence


def _tagged(tag: str, *names: str) -> _Words:
    def words(fields: _Fields) -> str:
        detail = next((said for said in (_said(fields, name) for name in names) if said), "")
        return f"[{tag}] {detail}".rstrip()

    return words


def _keyed(before: str, name: str = "EventKey") -> _Words:
    return lambda fields: f"{before}「{_said(fields, name)}」"


def _added(fields: _Fields) -> str:
    state = _said(fields, "State")
    return f"添加了客户（渠道：{state}）" if state else "添加了客户"


def _removed(fields: _Fields) -> str:
    if _said(fields, "Source") == "DELETE_BY_TRANSFER":
        return "客户因在职继承转给了其他成员"
    return "删除了客户"


_TRANSFER_REASONS = {"customer_refused": "客户拒绝", "customer_limit_exceed": "接替成员的客户数已满"}


def _transfer_failed(fields: _Fields) -> str:
    reason = _TRANSFER_REASONS.get(_said(fields, "FailReason"), "原因未知")
    return f"客户继承失败：{reason}"


_CHAT_DETAILS = {
    "add_member": "客户群有成员加入",
    "del_member": "客户群有成员离开",
    "change_owner": "客户群更换了群主",
    "change_name": "客户群改了名称",
    "change_notice": "客户群改了公告",
}


def _chat_updated(fields: _Fields) -> str:
    return _CHAT_DETAILS.get(_said(fields, "UpdateDetail"), "客户群有变更")


STAFF_MESSAGES: Mapping[str, _Words] = MappingProxyType(
    {
        "text": lambda fields: _said(fields, "Content"),
        "image": _tagged("图片"),
        "voice": _tagged("语音"),
        "video": _tagged("视频"),
        "location": _tagged("位置", "Label"),
        "link": _tagged("链接", "Title", "Url"),
    }
)

#: (Event or InfoType, ChangeType): things about outside contacts, their chats and tags.
CONTACTS: Mapping[tuple[str, str], _Row] = MappingProxyType(
    {
        ("change_external_contact", "add_external_contact"): ("event.contact.added", _added),
        ("change_external_contact", "add_half_external_contact"): (
            "event.contact.half_added",
            _always("客户添加了成员，待成员确认"),
        ),
        ("change_external_contact", "edit_external_contact"): (
            "event.contact.edited",
            _always("修改了客户的备注或标签"),
        ),
        ("change_external_contact", "del_external_contact"): ("event.contact.removed", _removed),
        ("change_external_contact", "del_follow_user"): (
            "event.contact.left",
            _always("被客户删除"),
        ),
        ("change_external_contact", "del_half_external_contact"): (
            "event.contact.half_removed",
            _always("待确认的客户关系已取消"),
        ),
        ("change_external_contact", "transfer_fail"): (
            "event.contact.transfer_failed",
            _transfer_failed,
        ),
        ("change_external_contact", "msg_audit_approved"): (
            "event.contact.archive_agreed",
            _always("客户同意会话存档"),
        ),
        ("change_external_chat", "create"): ("event.chat.created", _always("新建了客户群")),
        ("change_external_chat", "update"): ("event.chat.updated", _chat_updated),
        ("change_external_chat", "dismiss"): ("event.chat.dismissed", _always("客户群已解散")),
        ("change_external_tag", "create"): ("event.tag.created", _always("新建了客户标签")),
        ("change_external_tag", "update"): ("event.tag.updated", _always("修改了客户标签")),
        ("change_external_tag", "delete"): ("event.tag.deleted", _always("删除了客户标签")),
        ("change_external_tag", "shuffle"): ("event.tag.shuffled", _always("调整了客户标签顺序")),
        ("change_contact", "create_user"): ("event.staff.created", _keyed("新增成员", "UserID")),
        ("change_contact", "update_user"): ("event.staff.updated", _keyed("更新成员", "UserID")),
        ("change_contact", "delete_user"): ("event.staff.deleted", _keyed("删除成员", "UserID")),
        ("change_contact", "create_party"): ("event.department.created", _keyed("新增部门", "Id")),
        ("change_contact", "update_party"): ("event.department.updated", _keyed("更新部门", "Id")),
        ("change_contact", "delete_party"): ("event.department.deleted", _keyed("删除部门", "Id")),
        ("change_contact", "update_tag"): ("event.staff_tag.updated", _keyed("成员标签变更", "TagId")),
    }
)

#: Event or InfoType alone: what members do in an app, finished jobs, notices to us.
EVENTS: Mapping[str, _Row] = MappingProxyType(
    {
        "subscribe": ("event.app.subscribed", _always("成员关注了应用")),
        "unsubscribe": ("event.app.unsubscribed", _always("成员取消关注应用")),
        "enter_agent": ("event.app.entered", _always("成员进入了应用")),
        "LOCATION": ("event.app.location", _always("成员上报了地理位置")),
        "click": ("event.app.menu.click", _keyed("成员点击了菜单")),
        "view": ("event.app.menu.view", _keyed("成员点击菜单打开网页")),
        "view_miniprogram": ("event.app.menu.miniprogram", _keyed("成员点击菜单打开小程序")),
        "scancode_push": ("event.app.menu.scancode_push", _always("成员用菜单扫码")),
        "scancode_waitmsg": ("event.app.menu.scancode_waitmsg", _always("成员用菜单扫码")),
        "pic_sysphoto": ("event.app.menu.pic_sysphoto", _always("成员用菜单拍照发图")),
        "pic_photo_or_album": ("event.app.menu.pic_photo_or_album", _always("成员用菜单拍照或选图")),
        "pic_weixin": ("event.app.menu.pic_weixin", _always("成员用菜单选择了相册图片")),
        "location_select": ("event.app.menu.location_select", _always("成员用菜单发送了位置")),
        "taskcard_click": ("event.app.card.task", _keyed("成员点击了任务卡片")),
        "template_card_event": ("event.app.card.clicked", _keyed("成员点击了模板卡片")),
        "template_card_menu_event": ("event.app.card.menu", _keyed("成员点击了卡片菜单")),
        "batch_job_result": ("event.job.batch", _always("异步任务已完成")),
        "upload_media_job_finish": ("event.job.media", _always("异步上传已完成")),
        "close_inactive_agent": ("event.app.closed", _always("应用因长期未使用被停用")),
        "reopen_inactive_agent": ("event.app.reopened", _always("应用已重新启用")),
        "open_approval_change": ("event.approval.changed", _always("审批状态有变更")),
        "sys_approval_change": ("event.approval.changed", _always("审批状态有变更")),
        "msgaudit_notify": ("event.archive.notified", _always("会话存档有新消息")),
        "kf_msg_or_event": ("event.kf.notified", _always("微信客服有新消息：请把通知地址配到微信客服账号")),
        "kf_account_auth_change": ("event.kf.authorized", _always("客服账号授权有变更")),
        "customer_acquisition": ("event.acquisition.changed", _always("获客助手有变更")),
        "suite_ticket": ("event.suite.ticket", _always("收到应用票据")),
        "create_auth": ("event.suite.authorized", _always("企业授权了应用")),
        "change_auth": ("event.suite.changed", _always("企业变更了应用授权")),
        "cancel_auth": ("event.suite.cancelled", _always("企业取消了应用授权")),
    }
)
