// The chat any website embeds with one script tag. It leaves nothing behind in the page but its own element.
import { start } from "./chat/start.js";

const script = document.currentScript;
if (script) start(script);
