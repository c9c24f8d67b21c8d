"""The page of what the server does under load."""

from __future__ import annotations

import statistics
from typing import Any

from dus.writing.tables import markdown


def page(found: dict[str, Any], made_on: dict[str, Any], command: str) -> str:
    """What was measured, as Markdown."""
    main, beside, over = found["mixed"], found["beside"], found["overload"]
    tally, points = main["tally"], statistics.quantiles(main["tally"].seconds, n=100)
    outcomes = tally.outcomes
    clients, wrong, rate = found["clients"], outcomes["wrong"], outcomes.total() / main["seconds"]
    lost = outcomes.total() - outcomes["ok"] - outcomes["cancelled"] - wrong
    table = [
        ["requests", f"{outcomes.total():,}"],
        ["answered", f"{outcomes['ok']:,}"],
        ["cancelled by the client halfway", f"{outcomes['cancelled']:,}"],
        ["lost", lost],
        ["wrong", wrong],
        ["rows left in the engine", f"{main['left']:g}"],
        ["requests a second", f"{rate:.1f}"],
        *([f"seconds, p{at}", f"{points[at - 1]:.3f}"] for at in (50, 95, 99)),
        ["resident memory at the end, over that after 1,000", f"{main['growth']:+.1%}"],
    ]
    refused = over["outcomes"]
    planners = ", ".join(f"`{planner}`" for planner in main["planners"])
    return f"""# What the server does under load

This page says what the server does under load, in three runs. Of {outcomes.total():,} requests from {clients} clients \
{lost} were lost and {wrong} answered wrongly, at {rate:.1f} requests a second; the other runs are beside a batch, and \
with many more clients than there is room for. Made by

    {command}

which starts `dus serve` on this machine's loopback address:

    dus serve --port 0 --dtype float32 --rows 32 --cache block

{made_on["parameters"] / 1e6:.1f} million parameters in float32 on {made_on["device"]}, one thread, torch \
{made_on["torch"]}; the clients are a process on the same machine.

## Everything mixed

{found["clients"]} clients, {main["different"]} different rows over and over: prompts of four kinds, 8 to 64 tokens, \
four planners ({planners}); one request in ten is streamed, one in twenty \
cancelled after its first step. Each answer is compared with `dus.generate` of that row alone.

{markdown(["", ""], table)}

## Beside a batch

The same {beside["count"]:,} prompts, 64 tokens each, under DUS, 32 rows together; medians of three rounds in turns. \
*HTTP* is the share of the server's processor time that the event loop's thread takes.

{
        markdown(
            ["", "rows a second", "of the batch"],
            [
                ["`dus batch`", f"{beside['batch']:.1f}", ""],
                [
                    f"`dus serve`, {found['clients']} clients",
                    f"{beside['server']:.1f}",
                    f"{beside['server'] / beside['batch']:.2f}",
                ],
                ["HTTP", "", f"{beside['share']:.1%}"],
            ],
        )
    }

## Overload

Room for 16 rows (`dus serve --rows 8 --line 8`), and 160 clients who ask again at once, for {
        over["seconds"]:g} seconds.

{
        markdown(
            ["", ""],
            [
                ["answered", f"{refused['ok']:,}"],
                ["refused with 429", f"{refused['429']:,}"],
                ["anything else", refused.total() - refused["ok"] - refused["429"]],
                ["resident memory, over that before", f"{over['growth']:+.1%}"],
                ["seconds to an answer when they are gone", f"{over['recovered']:.3f}"],
            ],
        )
    }
"""
