"""A stdio server in the legacy era, on nothing but the standard library: each tool does one thing that a runner has to
cope with.

Arguments: `--no-second` refuses a second `initialize`, `--modern` knows the 2026-07-28 era only, `--silent` never
answers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

Message = dict[str, Any]
FLAGS = set(sys.argv[1:])
lock = threading.Lock()
answers: dict[Any, Message] = {}
cancelled: list[Any] = []
arrived = threading.Condition()
state = {"initialized": 0, "calls": 0}
VERSION = "io.modelcontextprotocol/protocolVersion"


def send(message: Message) -> None:
    with lock:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def ask(id: Any, method: str, params: Message) -> Message:
    send({"id": id, "method": method, "params": params})
    with arrived:
        arrived.wait_for(lambda: id in answers, 10)
        return answers[id]


def tool(message: Message) -> str:
    params = message["params"]
    name, arguments = params["name"], params.get("arguments") or {}
    token = (params.get("_meta") or {}).get("progressToken")
    match name:
        case "echo":
            return str(arguments["text"])
        case "pid":
            return str(os.getpid())
        case "count":
            state["calls"] += 1
            return str(state["calls"])
        case "environment":
            return json.dumps({"env": dict(os.environ), "cwd": os.getcwd()})
        case "meta":
            return json.dumps(params.get("_meta"))
        case "progress" | "progress then flood":
            for step in range(int(arguments["steps"])):
                send({"method": "notifications/progress", "params": {"progressToken": token, "progress": step}})
                time.sleep(0.01)
            if "bytes" in arguments:
                return "x" * int(arguments["bytes"])
        case "sleep":
            time.sleep(float(arguments["seconds"]))
        case "until cancelled":
            with arrived:
                arrived.wait_for(lambda: message["id"] in cancelled, 10)
            Path(arguments["mark"]).write_text(str(message["id"] in cancelled))
        case "sample":
            return json.dumps(ask(f"s-{message['id']}", "sampling/createMessage", arguments))
        case "log":
            send({"method": "notifications/message", "params": {"level": "info", "data": "noted"}})
        case "change":
            send({"method": "notifications/tools/list_changed"})
        case "print":
            print("this is not JSON", flush=True)
            print(arguments.get("text", ""), file=sys.stderr, flush=True)
        case "flood":
            return "x" * int(arguments["bytes"])
        case "die":
            os._exit(3)
        case "orphan":
            return str(subprocess.Popen(["sleep", "30"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL).pid)
    return "done"


def initialize(message: Message) -> Message:
    state["initialized"] += 1
    if "--no-second" in FLAGS and state["initialized"] > 1:
        return {"error": {"code": -32600, "message": "already initialized"}}
    version = message["params"]["protocolVersion"]
    return {
        "result": {
            "protocolVersion": version if version in ("2025-06-18", "2025-11-25") else "2025-11-25",
            "capabilities": {"tools": {"listChanged": True}, "logging": {}},
            "serverInfo": {"name": "scripted", "version": "1"},
        }
    }


def call(message: Message) -> None:
    try:
        text = tool(message)
        result: Message = {"content": [{"type": "text", "text": text}], "isError": False}
        if "--modern" in FLAGS:
            result["resultType"] = "complete"
        send({"id": message["id"], "result": result})
    except Exception as error:
        send({"id": message["id"], "error": {"code": -32603, "message": repr(error)}})


def answer(message: Message) -> None:
    method, modern = message["method"], "--modern" in FLAGS
    if "--silent" in FLAGS:
        return
    if modern and VERSION not in ((message.get("params") or {}).get("_meta") or {}):
        send({"id": message["id"], "error": {"code": -32602, "message": "no envelope"}})
    elif method == "initialize" and not modern:
        send({"id": message["id"], **initialize(message)})
    elif method == "server/discover" and modern:
        result = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "resultType": "complete"}
        send({"id": message["id"], "result": {**result, "ttlMs": 0, "cacheScope": "private"}})
    elif method == "ping":
        send({"id": message["id"], "result": {}})
    elif method == "tools/list":
        tools = [{"name": "echo", "inputSchema": {"type": "object"}}]
        send({"id": message["id"], "result": {"tools": tools, **({"resultType": "complete"} if modern else {})}})
    elif method == "tools/call":
        threading.Thread(target=call, args=(message,), daemon=True).start()
    else:
        send({"id": message["id"], "error": {"code": -32601, "message": "Method not found"}})


print("started", file=sys.stderr, flush=True)
for line in sys.stdin:
    incoming = json.loads(line)
    with arrived:
        if "method" not in incoming:
            answers[incoming["id"]] = incoming
        elif incoming["method"] == "notifications/cancelled":
            cancelled.append(incoming["params"]["requestId"])
        arrived.notify_all()
    if "method" in incoming and "id" in incoming:
        answer(incoming)
