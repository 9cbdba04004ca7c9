// Desktop pages: no chat app around them, texts leave through the channel's API or the clipboard.
import { connect } from "./mod/bridge.js";
import { completing } from "./mod/complete.js";
import { start } from "./mod/start.js";

connect();
start();
completing();
