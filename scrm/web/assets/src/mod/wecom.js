// The WeCom SDK as a bridge. The page carries signatures for exactly its own URL: one round trip less.
import { getContext, getCurExternalContact, register, sendChatMessage } from "@wecom/jssdk";

const APIS = ["getContext", "getCurExternalContact", "sendChatMessage"];
const ENTRIES = ["single_chat_tools", "single_kf_tools", "contact_profile", "chat_attachment"];

const why = (error) => ({ why: String(error?.errMsg || error?.message || error).replace(/^\w+:fail\s*/, "") });
const asked = (promise) => promise.catch((error) => Promise.reject(why(error)));

function sign(boot, scope) {
  const found = boot.signatures.find((s) => s.scope === scope);
  return found && { ...found, nonceStr: found.nonce };
}

export function wecom(boot) {
  if (!boot?.signatures?.length || !/wxwork/i.test(navigator.userAgent)) return null;
  const [corp, agent] = [sign(boot, "corp"), sign(boot, "agent")];
  register({
    corpId: (agent || corp).app_id,
    agentId: agent?.agent_id,
    jsApiList: APIS,
    getConfigSignature: corp && (() => corp),
    getAgentConfigSignature: agent && (() => agent),
  });
  return {
    kind: "wecom",
    async context() {
      const { entry } = await asked(getContext());
      if (!ENTRIES.includes(entry)) return "";
      return (await asked(getCurExternalContact())).userId;
    },
    send: (text) => asked(sendChatMessage({ msgtype: "text", text: { content: text } })),
    file: ({ form, media }) => asked(sendChatMessage({ msgtype: form, [form]: { mediaid: media } })),
  };
}
