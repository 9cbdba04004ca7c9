"""One package per channel; each knows the plug (`scrm.contract`) and the kit, never another channel."""
