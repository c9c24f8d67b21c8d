"""The vocabulary of the instructions: categories of things to list, and topics to write sentences about.

Every noun has a plural with `s` and every verb a third person with `s`; every place and time has three words, so that
the length of a sentence follows from its form. No word is in two categories.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Topic:
    """What sentences about one thing are made of: any noun fits any verb, adjective and place."""

    nouns: tuple[str, ...]
    verbs: tuple[str, ...]
    adjectives: tuple[str, ...]
    places: tuple[str, ...]


def _topic(nouns: str, verbs: str, adjectives: str, places: str) -> Topic:
    return Topic(tuple(nouns.split()), tuple(verbs.split()), tuple(adjectives.split()), tuple(places.split(", ")))


TOPICS = {
    "the sea": _topic(
        "gull whale sailor boat ship seal dolphin crab",
        "drift turn rest float return wait",
        "grey small old quick calm big",
        "near the shore, under the clouds, along the coast, beside the harbour, behind the waves",
    ),
    "the farm": _topic(
        "cow horse goat pig hen dog farmer duck",
        "eat sleep walk stand look drink",
        "brown young hungry kind clean strong",
        "in the barn, behind the fence, across the field, by the gate, under the tree",
    ),
    "the city": _topic(
        "driver worker tourist cyclist guard painter visitor dancer",
        "stop talk stroll shop arrive argue",
        "busy friendly tall loud patient rich",
        "on the bridge, in the square, near the station, along the street, at the market",
    ),
    "the forest": _topic(
        "owl squirrel rabbit hunter badger snake hiker frog",
        "hide jump listen creep climb linger",
        "shy wild silent red clever afraid",
        "among the leaves, between the trees, under the moss, beside the stream, behind the rocks",
    ),
    "the school": _topic(
        "pupil teacher student boy girl singer reader helper",
        "read write learn sing laugh answer",
        "curious cheerful smart nervous polite lazy",
        "in the classroom, at the table, before the lesson, beside the window, in the library",
    ),
    "the kitchen": _topic(
        "cook baker waiter guest chef uncle aunt cousin",
        "bake stir help chop dine smile",
        "warm generous messy careful proud tired",
        "by the stove, near the oven, at the counter, beside the fridge, near the sink",
    ),
    "the garden": _topic(
        "bee gardener snail spider beetle robin ant worm",
        "crawl work dig wander wake appear",
        "tiny bright pretty green gentle slow",
        "among the roses, under the hedge, along the path, on the lawn, beside the pond",
    ),
    "space": _topic(
        "rocket planet comet star moon robot pilot probe",
        "spin glow move shine travel orbit",
        "distant cold silver strange dark huge",
        "above the earth, beyond the sun, among the rings, around the base, in the sky",
    ),
}

TIMES = ("in the morning", "in the evening", "late at night", "all day long", "on rainy days", "in early spring")
ADVERBS = ("slowly", "quietly", "often", "again", "early", "gladly")
SINGULAR = ("the", "every", "one")
PLURAL = ("the", "many", "some")

CATEGORIES = {
    "animal": "dog cat horse cow sheep goat lion tiger bear wolf fox rabbit mouse elephant",
    "fruit": "apple pear plum grape lemon orange peach cherry banana mango melon fig kiwi lime",
    "colour": "red blue green yellow black white brown pink purple grey gold silver violet beige",
    "garment": "shirt coat hat scarf glove sock shoe boot dress skirt belt jacket sweater cap",
    "tool": "hammer saw drill axe knife shovel rake wrench brush ladder chisel spade ruler needle",
    "vehicle": "car bus train bike truck boat ship plane tram taxi van ferry sled wagon",
    "job": "doctor nurse teacher farmer baker cook judge pilot sailor painter singer driver guard tailor",
    "instrument": "piano violin guitar flute drum trumpet harp cello organ horn banjo bell oboe tuba",
}
MEMBERS = {name: tuple(members.split()) for name, members in CATEGORIES.items()}
