"""A client of the Model Context Protocol by its official SDK: it asks every tool, and prints what it got as JSON.

It is run by `test_mcp_client.py`, in an environment that has the SDK. Arguments: the address, the mode of the client.
"""

import asyncio
import json
import sys
from typing import Any

from mcp import MCPError
from mcp.client.client import Client

CALLS: list[tuple[str, dict[str, Any]]] = [
    ("search_symbols", {"q": "hoa phat"}),
    ("get_bars", {"symbol": "VCB"}),
    ("get_bars", {"symbol": ["VCB", "FPT"], "limit": 3, "columns": ["time", "close"], "shape": "columns"}),
    ("get_bars", {"symbol": "VCB", "limit": 501}),
    ("get_bars", {"symbol": "VCB", "interval": "2D"}),
    ("get_snapshot", {"symbol": ["VCB"]}),
    ("top_performers", {"limit": 2, "min_volume": 0}),
    ("ma_scores_by_sector", {"top_per_sector": 1, "above_threshold_only": False}),
    ("volume_profile", {"symbol": "VCB", "date": "latest", "bins": 5}),
    ("volume_profile", {"symbol": "VCB", "date": "2000-01-01"}),
    ("screener", {"where": "close>ma20 and rsi14<90", "limit": 2}),
    ("data_coverage", {"symbol": ["VCB"]}),
]


async def main(url: str, mode: str) -> None:
    async with Client(url, mode=mode) as client:
        tools = (await client.list_tools()).tools
        answers = []
        for name, arguments in CALLS:
            # The SDK checks each answer against the schema of its tool.
            answer = await client.call_tool(name, arguments)
            (content,) = answer.content
            answers.append([name, answer.is_error, content.text, answer.structured_content])
        try:
            await client.call_tool("no_such_tool", {})
            refused = None
        except MCPError as exc:
            refused = [exc.error.code, exc.error.message]
        json.dump(
            {
                "version": client.protocol_version,
                "server": client.server_info.name if client.server_info else None,
                "tools": [[each.name, each.annotations.read_only_hint, bool(each.output_schema)] for each in tools],
                "answers": answers,
                "refused": refused,
            },
            sys.stdout,
        )


asyncio.run(main(*sys.argv[1:]))
