// What the widget says by itself; the site's greeting and everybody's messages come from elsewhere.
const ZH = {
  greeting: "您好，请问有什么可以帮您？",
  open: "打开在线客服",
  close: "关闭",
  unread: (n) => `${n} 条未读消息`,
  log: "聊天记录",
  say: "输入消息",
  send: "发送",
  attach: "发送文件",
  older: "更早的消息",
  sending: "发送中",
  sent: "已送达",
  read: "已读",
  waiting: "等网络恢复后发送",
  failed: (why) => `没有发出：${why}`,
  retry: "重试",
  offline: "网络断开，正在重连…",
  types: "对方正在输入…",
  back: (when) => `现在是休息时间，${when} 回来。您可以先留言，我们上班后回复。`,
  away: "现在是休息时间，您可以先留言，我们上班后回复。",
  large: (mb) => `文件不能超过 ${mb} MB`,
  upload: (name, percent) => `正在上传 ${name}：${percent}%`,
  us: "客服",
  me: "我",
  recalled: "对方撤回了一条消息",
  save: (name, size) => `下载 ${name}（${size}）`,
  trouble: "请稍后重试",
};
const EN = {
  greeting: "Hello, how can we help you?",
  open: "Open chat",
  close: "Close",
  unread: (n) => `${n} unread`,
  log: "Messages",
  say: "Type a message",
  send: "Send",
  attach: "Send a file",
  older: "Earlier messages",
  sending: "Sending",
  sent: "Delivered",
  read: "Read",
  waiting: "Will be sent when you are back online",
  failed: (why) => `Not sent: ${why}`,
  retry: "Retry",
  offline: "Connection lost, reconnecting…",
  types: "Typing…",
  back: (when) => `We are away until ${when}. Leave a message and we will answer then.`,
  away: "We are away. Leave a message and we will answer when we are back.",
  large: (mb) => `Files may be up to ${mb} MB`,
  upload: (name, percent) => `Uploading ${name}: ${percent}%`,
  us: "Support",
  me: "Me",
  recalled: "A message was taken back",
  save: (name, size) => `Download ${name} (${size})`,
  trouble: "please try again later",
};

export const words = (lang) => (lang.toLowerCase().startsWith("zh") ? ZH : EN);

export const clock = (at, lang) => new Date(at).toLocaleTimeString(lang, { hour: "2-digit", minute: "2-digit" });
export const moment = (at, lang) =>
  new Date(at).toLocaleString(lang, { weekday: "short", month: "numeric", day: "numeric", hour: "2-digit", minute: "2-digit" });
export const size = (bytes) => (bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1024))} KB` : `${(bytes / 1048576).toFixed(1)} MB`);
